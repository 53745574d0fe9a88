"""The quantizers of the `gaussian` codec at equal sizes, with and without quantization-aware fitting.

    python benchmarks/gaussian_quantizers.py [--quantizers vq]  # five minutes of CPU time; with names, only those anew

Prints a table and writes benchmarks/results/gaussian/quantizers.json after each picture.

Three pictures of Kodak and two of `train`, N = 700 and 2000 Gaussians, effort normal, one thread. All quantizers of a
picture and an N are compared at the size of the `norm` file of step 120: for each the step is searched, with files that
are written and decoded again, and PSNR is interpolated between them by the logarithm of the size (`points` has
the files). Aware fits see the step that was found without; their files may have another one, next to it.

`float_db` is the fit that was not quantized, `loss_db` what a file lies below that. `one_codebook_db` is what LGI's
scheme makes of the same fit: one codebook of 256 entries for all eight numbers of a Gaussian, position included, each
number divided by its standard deviation. `cpu_s` is one fit; the search is not in it.
"""

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench import datasets, machine
from midtread.codecs.image.gaussian import EFFORTS, Gaussian, place_of
from midtread.codecs.image.gaussian_aware import noisy
from midtread.codecs.image.gaussian_file import decode_part, write_file
from midtread.codecs.image.gaussian_header import QUANTIZERS, Header
from midtread.codecs.image.gaussian_quantize import quantized
from midtread.quantize.vector.codebook import VectorQuantizer
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_fit import Budget, fit

RESULT = Path(__file__).parent / "results" / "gaussian" / "quantizers.json"
PICTURES = ("kodim05", "kodim15", "kodim23", "cid22__1001682", "cid22__1248582")
COUNTS = 700, 2000
STEP, FIRST_STEPS = 120, {"norm": 120, "uniform": 130, "vq": 180}
CLOSE, TRIALS = 0.01, 5  # of the size; files for a size
ITERATIONS, ROUNDS = EFFORTS["normal"]


def psnr_db(x, y):
    return -10 * math.log10(np.square(x.astype(np.float64) - y).mean() / 255**2)


def between(points, size):
    """PSNR at a size, between files; that of the last file beyond them."""
    points = sorted(points, key=lambda p: p["size_bytes"])
    return float(np.interp(math.log(size), [math.log(p["size_bytes"]) for p in points], [p["psnr_db"] for p in points]))


class Task:
    """One picture and one N."""

    def __init__(self, x, count):
        self.x, self.count = x, count
        self.background = np.rint(x.mean((0, 1), dtype=np.float64)).astype(np.uint8)
        self.picture = (x.astype(np.float32) - self.background) / np.float32(255)
        self.canvas = Canvas(self.picture)

    def header(self, step):
        return Header(*self.x.shape, place_of(step))

    def fit(self, quantizer=None, step=None):
        """Gaussians, PSNR of their unclipped sum, CPU seconds."""
        snap = noisy(self.header(step), quantizer, 0) if quantizer else None
        start = time.thread_time()
        gaussians, trace = fit(self.picture, self.count, Budget(ITERATIONS), snap=snap)
        return gaussians, trace.psnr_db[-1], time.thread_time() - start

    def file(self, gaussians, quantizer, step):
        """What a file of this step measures."""
        found = quantized(self.canvas, gaussians, self.header(step), quantizer, ROUNDS, 0)
        data = write_file(self.x, self.background, found.header, found.by_energy(4), found.books)
        entries = found.header.shape_entries, found.header.colour_entries
        return {"step": step, "size_bytes": len(data), "psnr_db": psnr_db(self.x, decode_part(data)),
                "entries": entries if found.books else None}  # fmt: skip

    def at(self, gaussians, quantizer, step, size):
        """PSNR at a size, the step there, and the files tried."""
        points, slope = [], -0.35  # of log size over log step
        while True:
            step = min(max(step, Gaussian.knob.low), Gaussian.knob.high)
            points.append(self.file(gaussians, quantizer, step))
            points.sort(key=lambda p: abs(math.log(p["size_bytes"] / size)))
            off = math.log(size / points[0]["size_bytes"])
            if off == 0 or len(points) == TRIALS or (len(points) > 1 and abs(off) < CLOSE):
                break
            if len(points) > 1:
                (a, b), (c, d) = ((math.log(p["step"]), math.log(p["size_bytes"])) for p in points[:2])
                slope = min((d - b) / (c - a), -0.1) if c != a else slope
            step = points[0]["step"] * math.exp(np.clip(max(abs(off), CLOSE) * np.sign(off) / slope, -1.5, 1.5))
        return between(points, size), points[0]["step"], points

    def one_codebook_db(self, gaussians):
        """LGI's scheme: 256 different Gaussians at most."""
        a, b, c = gaussians.factor.T
        numbers = np.column_stack([gaussians.xy, np.log(a), b / a, np.log(c), gaussians.colour])
        scale = numbers.std(0)
        vectors = (numbers / scale).astype(np.float32)
        quantizer = VectorQuantizer.fit(vectors, 256)
        told = quantizer.dequantize(quantizer.quantize(vectors)) * scale
        factor = np.exp(told[:, 2:5])
        factor[:, 1] = told[:, 3] * factor[:, 0]
        parts = (part.astype(np.float32) for part in (told[:, :2], factor, told[:, 5:]))
        energy = self.canvas.energy(*(np.ascontiguousarray(part) for part in parts))
        return -10 * math.log10(energy / self.x.size)


def measure(name, x, count, quantizers=QUANTIZERS):
    """A row for each quantizer, without and with aware fitting."""
    task = Task(x, count)
    plain, float_db, cpu_s = task.fit()
    size = task.file(plain, "norm", STEP)["size_bytes"]
    shared = {"item": name, "count": count, "size_bytes": size, "float_db": float_db}
    shared["one_codebook_db"] = task.one_codebook_db(plain)
    rows = []
    for quantizer in quantizers:
        db, step, points = task.at(plain, quantizer, FIRST_STEPS[quantizer], size)
        rows.append(shared | {"quantizer": quantizer, "aware": False, "psnr_db": db, "points": points, "cpu_s": cpu_s})
        aware, aware_db, aware_s = task.fit(quantizer, step)
        db, _, points = task.at(aware, quantizer, step, size)
        rows.append(shared | {"quantizer": quantizer, "aware": True, "psnr_db": db, "points": points, "cpu_s": aware_s,
                              "aware_float_db": aware_db})  # fmt: skip
    for row in rows:
        row["loss_db"] = float_db - row["psnr_db"]
        aware = "aware" if row["aware"] else ""
        print(f"{name:16} {count:5} {size:6} B  float {float_db:.2f}  one codebook {row['one_codebook_db']:.2f}  "
              f"{row['quantizer']:8}{aware:6} {row['psnr_db']:.2f} dB", flush=True)  # fmt: skip
    return rows


def pictures():
    """(name, uint8 [H, W, 3]) of PICTURES."""
    train = next(root / "train" for root in datasets.local_roots() if (root / "train").is_dir())
    found = {item.path.stem: item for name in ("kodak", train) for item in datasets.open_dataset(name)}
    return [(name, media.load(found[name].path).array) for name in PICTURES]


def key_of(row):
    return PICTURES.index(row["item"]), row["count"], QUANTIZERS.index(row["quantizer"]), row["aware"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quantizers", nargs="+", choices=QUANTIZERS, default=QUANTIZERS)
    chosen = parser.parse_args().quantizers
    known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = {key_of(row): row for row in known if row["quantizer"] not in chosen}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    for name, x in pictures():
        for count in COUNTS:
            rows |= {key_of(row): row for row in measure(name, x, count, chosen)}
        record = {"recipe": __doc__, "rows": [rows[key] for key in sorted(rows)], "machine": machine.describe(),
                  "versions": machine.versions(), "commit": machine.commit()}  # fmt: skip
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
    for count in COUNTS:
        for quantizer in QUANTIZERS:
            for aware in (False, True):
                key = count, quantizer, aware
                mine = [row for row in rows.values() if (row["count"], row["quantizer"], row["aware"]) == key]
                if mine:
                    loss, cpu_s = (statistics.mean(row[what] for row in mine) for what in ("loss_db", "cpu_s"))
                    name = quantizer + " aware" * aware
                    print(f"N={count} {name:13} loses {loss:.2f} dB on average, fit {cpu_s:.1f} s")


if __name__ == "__main__":
    main()
