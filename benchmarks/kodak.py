"""Do our numbers agree with the published ones? BD-rate on Kodak, from the committed records.

    midtread bench kodak --out runs/kodak       # an hour and a half on two cores; then copy records.jsonl, run.json,
    midtread report runs/kodak                  # index.html and points.csv to benchmarks/results/kodak
    python benchmarks/kodak.py                  # prints the table, compares with what is published

PSNR (RGB), PCHIP over log rate, against JPEG 4:2:0: once picture by picture (geometric mean over the 24), once between
the mean curves. Published: CompressAI's results folder (WebP, AV1) and measurements with older libraries (JPEG 2000 by
OpenJPEG 9/7 with colour transform at fixed rates, JPEG XL and AVIF by Pillow). Libraries drift by a few points.
"""

import json
import sys
from pathlib import Path

from midtread.bench.query import Records
from midtread.bench.report_data import payload

FOLDER = Path(__file__).parent / "results" / "kodak"
ANCHOR = "JPEG 4:2:0"
PUBLISHED = {
    "WebP": -36.2,
    "JPEG 2000 9/7": -51.2,
    "JPEG XL": -34.2,
    "AVIF 4:2:0": -57.8,
    "AV1 libaom 4:4:4": -62.4,
}


def main() -> int:
    page = payload(Records([FOLDER]), json.loads((FOLDER / "run.json").read_text()))
    tables = {metric: page["groups"][0]["bd"][metric][ANCHOR] for metric in ("psnr_db", "ssimulacra2")}
    rows = sorted((found[0], series, found) for series, found in tables["psnr_db"].items())
    print(f"{'series':24} {'PSNR':>7} {'mean curves':>12} {'published':>10} {'overlap':>8} {'SSIMULACRA 2':>13}")
    for percent, series, found in rows:
        published = f"{PUBLISHED[series]:.1f}" if series in PUBLISHED else "-"
        other = tables["ssimulacra2"][series][0]
        print(f"{series:24} {percent:7.1f} {found[7]:12.1f} {published:>10} {100 * found[3]:6.0f} % {other:13.1f}")
    print(f"\nbest conventional codec by PSNR: {rows[0][1]}")
    return 0 if rows[0][1] == "VVC intra" else 1


if __name__ == "__main__":
    sys.exit(main())
