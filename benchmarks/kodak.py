"""Do our numbers agree with the published ones? BD-rate on Kodak, from the committed records.

    midtread bench kodak --out benchmarks/results/kodak     # makes the records (about an hour on two cores)
    python benchmarks/kodak.py                              # prints the table, compares with what is published

PSNR (RGB), mean over the 24 pictures of rate and of quality at each setting, PCHIP over log rate, against JPEG 4:2:0.
Published: CompressAI's results folder (WebP, AV1) and measurements with older libraries (JPEG 2000 by OpenJPEG 9/7 with
colour transform, JPEG XL by libjxl through Pillow, AVIF by Pillow at speed 5). Libraries drift by a few points.
"""

import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

from midtread.bench import records
from midtread.metrics.rate_distortion import bd_rate

FOLDER = Path(__file__).parent / "results" / "kodak"
ANCHOR = "JPEG 4:2:0"
PUBLISHED = {
    "WebP": -36.2,
    "JPEG 2000 9/7": -51.2,
    "JPEG XL": -34.2,
    "AVIF 4:2:0": -57.8,
    "AV1 libaom 4:4:4": -62.4,
}


def curves(metric: str) -> dict[str, list[tuple[float, float]]]:
    """series -> (mean bits per pixel, mean quality) of every setting that all pictures have."""
    found = defaultdict(lambda: defaultdict(list))
    for record in records.load(FOLDER).values():
        value = record["metrics"].get(metric)
        if value is not None and not record["error"] and not record["lossless"]:
            found[record["series"]][record["setting"]].append((record["rate_bpp"], value))
    pictures = max(len(points) for settings in found.values() for points in settings.values())
    return {
        series: [
            (mean(rate for rate, _ in points), mean(value for _, value in points))
            for points in settings.values()
            if len(points) == pictures
        ]
        for series, settings in found.items()
    }


def main() -> int:
    psnr, ssimulacra2 = curves("psnr_db"), curves("ssimulacra2")
    rows = []
    for series in psnr:
        percents = []
        for table in (psnr, ssimulacra2):
            a, b = table[ANCHOR], table[series]
            percents.append(bd_rate([r for r, _ in a], [q for _, q in a], [r for r, _ in b], [q for _, q in b]))
        rows.append((percents[0].percent, series, percents))
    print(f"{'series':24} {'PSNR':>8} {'overlap':>8} {'published':>10}   {'SSIMULACRA 2':>12}")
    for percent, series, (by_psnr, by_ssimulacra2) in sorted(rows):
        published = f"{PUBLISHED[series]:.1f}" if series in PUBLISHED else "-"
        overlap = f"{100 * by_psnr.overlap_fraction:.0f} %"
        print(f"{series:24} {percent:8.1f} {overlap:>8} {published:>10}   {by_ssimulacra2.percent:12.1f}")
    best = min(rows)[1]
    print(f"\nbest conventional codec by PSNR: {best}")
    return 0 if best == "VVC intra" else 1


if __name__ == "__main__":
    sys.exit(main())
