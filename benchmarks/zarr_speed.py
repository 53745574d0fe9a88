"""What Zarr costs around codec `field`: whole arrays through `zarr`, against the bare codec over the same chunks.

    python benchmarks/zarr_speed.py      # prints a table, writes benchmarks/results/zarr.json; some 3 minutes

Both sides write every chunk of a turbulent float32 field (512 x 256 x 256, bound 1e-3 of its range) into a file and
read all of it back, with as many threads: the bare codec in a loop or thread pool of ours, on slices of the array; Zarr
as its users call it, `z[:] = x` and `z[:]`. In turns in one process, files in memory where the system has a folder for
that (/dev/shm). The figure is the median of the paired ratios of wall-clock time; asked: at most 1.1. The chunks of
both are the same bytes, the bound is checked on what came back. Beside it: the same through numcodecs, as Zarr format 2
(not asked: Zarr itself looks at every value there, for chunks of fill value); what a header adds to small chunks.
"""

import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr
from zarr.core.sync import cleanup_resources

import midtread
import midtread.numcodecs
import midtread.zarr
from midtread.bench import machine
from midtread.bench.field_datasets import turbulence

SHAPE = (512, 256, 256)
BOUND = 1e-3  # of the range
REPEATS = 9
ASKED = 1.1
MODES, SIDES, WAYS = ("fast", "ratio"), (128, 256), ((1, 3), (2, 3), (1, 2))  # ways: threads, Zarr format


def boxes(side):
    """The chunks of the array: their keys in Zarr, their places."""
    for at in itertools.product(*(range(n // side) for n in SHAPE)):
        yield "c/" + "/".join(map(str, at)), tuple(slice(i * side, (i + 1) * side) for i in at)


class Bare:
    """The codec alone: slices of the array, one file for each."""

    def __init__(self, folder: Path, codec, side: int, threads: int) -> None:
        self.folder, self.codec, self.side, self.threads = folder, codec, side, threads

    def write(self, x) -> None:
        def job(chunk) -> None:
            path = self.folder / chunk[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.codec.encode(x[chunk[1]]))

        self.each(job)

    def read(self) -> np.ndarray:
        out = np.empty(SHAPE, np.float32)

        def job(chunk) -> None:
            out[chunk[1]] = self.codec.decode((self.folder / chunk[0]).read_bytes())

        self.each(job)
        return out

    def each(self, job) -> None:
        if self.threads == 1:
            list(map(job, boxes(self.side)))
            return
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(job, boxes(self.side)))


class Through:
    """The same through Zarr."""

    def __init__(self, folder: Path, how: dict, side: int, threads: int) -> None:
        cleanup_resources()  # its thread pool lives on otherwise, with as many threads as it had at first
        zarr.config.set({"threading.max_workers": threads})
        self.array = zarr.create_array(folder, shape=SHAPE, dtype="float32", chunks=(side,) * 3, **how)

    def write(self, x) -> None:
        self.array[:] = x

    def read(self) -> np.ndarray:
        return self.array[:]


def timed(work, *arguments) -> tuple[float, float]:
    """Seconds by the wall clock, and of CPU time of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(x, mode: str, side: int, threads: int, zarr_format: int, folder: Path) -> dict:
    options = {"max_error": BOUND * float(x.max() - x.min()), "mode": mode}
    how = {"serializer": midtread.zarr.Field(**options), "compressors": None}
    if zarr_format == 2:
        how = {"compressors": midtread.numcodecs.Field(**options), "zarr_format": 2}
    bare = Bare(folder / "bare", midtread.open_codec("field", **options), side, threads)
    through = Through(folder / "zarr", how, side, threads)
    times: dict[str, list[float]] = {}
    for turn in range(REPEATS + 1):
        for work, arguments in (("write", (x,)), ("read", ())):
            for who, name in ((bare, "bare"), (through, "zarr")):
                wall_s, cpu_s = timed(getattr(who, work), *arguments)
                if turn:  # the first one compiles and fills caches
                    times.setdefault(f"{name}_{work}_s", []).append(wall_s)
                    times.setdefault(f"{name}_{work}_cpu_s", []).append(cpu_s)
    row = {"mode": mode, "side": side, "threads": threads, "zarr_format": zarr_format}
    row |= {name: statistics.median(all_of) for name, all_of in times.items()}
    for work in ("write", "read"):
        for unit in ("", "cpu_"):
            pairs = zip(times[f"zarr_{work}_{unit}s"], times[f"bare_{work}_{unit}s"], strict=True)
            row[f"{work}_{unit}ratio"] = statistics.median(ours / bare_s for ours, bare_s in pairs)
        row[f"bare_{work}_gb_per_s"] = x.nbytes / row[f"bare_{work}_s"] / 1e9
    row["max_error_over_bound"] = float(np.abs(through.read().astype(np.float64) - x).max() / options["max_error"])
    if zarr_format == 3:
        files = [[(folder / who / key).read_bytes() for key, _ in boxes(side)] for who in ("bare", "zarr")]
        row["same_bytes"] = files[0] == files[1]
    shutil.rmtree(folder / "bare")
    shutil.rmtree(folder / "zarr")
    return row


def small_chunks(x) -> list[dict]:
    """What a whole file for each chunk costs when chunks are small."""
    rows = []
    for side in (8, 16, 32, 64):
        codec = midtread.open_codec("field", max_error=BOUND * float(x.max() - x.min()))
        data = codec.encode(x[:side, :side, :side])
        payload = sum(chunk["size_bytes"] for chunk in midtread.info(data)["chunks"] if chunk["tag"] == "payload")
        rows.append({"side": side, "file_bytes": len(data), "header_bytes": len(data) - payload})
        print(f"chunks of {side}^3 values: {len(data)} bytes, {len(data) - payload} of them around the payload")
    return rows


def main() -> int:
    x = np.concatenate([turbulence(256, seed) for seed in (0, 1)])
    shared, rows = Path("/dev/shm"), []
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        for mode, side, way in itertools.product(MODES, SIDES, WAYS):
            rows.append(compare(x, mode, side, *way, Path(folder)))
            print("  ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in rows[-1].items()))
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "rows": rows,
        "small_chunks": small_chunks(x),
        "load": os.getloadavg()[0],
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    (Path(__file__).parent / "results" / "zarr.json").write_text(json.dumps(record, indent=1) + "\n")
    asked = [row for row in rows if row["zarr_format"] == 3]
    worst = max(max(row["write_ratio"], row["read_ratio"]) for row in asked)
    print(f"Zarr format 3 takes at most {worst:.3f} times as long as the bare codec; asked: {ASKED}")
    held = all(row["same_bytes"] and row["max_error_over_bound"] <= 1 for row in asked)
    return 0 if held and worst <= ASKED else 1


if __name__ == "__main__":
    sys.exit(main())
