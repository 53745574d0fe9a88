"""What our interface costs: `midtread.open_codec(...).encode(x)` against the library called directly.

    python benchmarks/overhead.py            # prints a table, writes benchmarks/results/overhead.json

Both sides encode the same 512 x 512 photograph to the same bytes (checked), in turns in one process, pinned to one
CPU; the figure is the median of the paired differences. Asked: at most 2 % or 0.2 ms.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import imagecodecs

import midtread
from midtread import media
from midtread.bench import datasets, machine

REPEATS = 41


def direct() -> dict[str, tuple[dict, object]]:
    """Name -> (our options, the library's own call that gives the same bytes)."""
    return {
        "jpeg": ({"quality": 75}, lambda x: imagecodecs.jpeg8_encode(x, 75, subsampling="420")),
        "webp": ({"quality": 75}, lambda x: imagecodecs.webp_encode(x, 75, lossless=False, method=4)),
        "png": ({}, lambda x: imagecodecs.png_encode(x, 6)),
        "qoi": ({}, lambda x: imagecodecs.qoi_encode(x)),
        "jpegls": ({}, lambda x: imagecodecs.jpegls_encode(x, 0)),
        "jpeg2000": (
            {"psnr_db": 36.0},
            lambda x: imagecodecs.jpeg2k_encode(x, 36.0, reversible=False, codecformat="jp2"),
        ),
        "jpegxl": ({"distance": 2.0, "effort": 3}, lambda x: imagecodecs.jpegxl_encode(x, distance=2.0, effort=3)),
    }


def main() -> int:
    machine.pin(machine.cpus()[-1:])
    item = next(one for one in datasets.open_dataset("examples") if one.name == "astronaut")
    x = media.load(item.path).array
    rows = []
    for name, (options, call) in direct().items():
        codec = midtread.open_codec(name, **options)
        same = bytes(codec.encode(x)) == bytes(call(x))
        ours, theirs = [], []
        for _ in range(REPEATS):
            for times, work in ((ours, codec.encode), (theirs, call)):
                start = time.perf_counter()
                work(x)
                times.append(time.perf_counter() - start)
        extra_s = statistics.median(a - b for a, b in zip(ours, theirs, strict=True))
        library_s = statistics.median(theirs)
        holds = extra_s <= max(0.02 * library_s, 0.0002)
        rows.append({"codec": name, "same_bytes": same, "library_s": library_s, "extra_s": extra_s, "holds": holds})
        print(
            f"{name:10} library {1e3 * library_s:8.3f} ms  extra {1e3 * extra_s:+7.3f} ms "
            f"({100 * extra_s / library_s:+.2f} %)  {'holds' if holds else 'MISSED'}  same bytes: {same}"
        )
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "rows": rows,
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    path = Path(__file__).parent / "results" / "overhead.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
