"""`field` beside SZ3 on the same fields: ratio, speed of one thread both ways, and whether the bound holds.

    python benchmarks/fields.py [side]        # prints a table, writes benchmarks/results/fields.json; 2 minutes at 256

Synthetic: a Gaussian field of side**3 float32 with the spectrum of turbulence, P(k) ~ k**(-11/3), of unit variance
("velocity"), and exp(1.8 times it) ("density"). Real: the .npy files of the dataset folder `fields`, in $MIDTREAD_DATA
or shared/data beside the checkout; the volumes of a file with four axes one by one, unless they are thin. Bounds are
relative to max - min of the values below 1e19. Ratios are of whole files. Speeds are CPU time of the thread, GB/s of
input, best of the repeats, all of `encode` and `decode` counted, fresh memory too. SZ3 is the one of imagecodecs, its
default algorithm.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from midtread.bench import machine
from midtread.codecs.tensor.field import Field, decode

BOUNDS = (1e-2, 1e-3, 1e-4)
MODES = ("fast", "ratio")
REPEATS = {"large": 3, "small": 5}


def turbulence(side: int, seed: int = 0) -> np.ndarray:
    """float32 [side, side, side]: a Gaussian random field, P(k) ~ k**(-11/3), mean 0, variance 1."""
    noise = np.fft.rfftn(np.random.default_rng(seed).standard_normal((side,) * 3, dtype=np.float32))
    k, last = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    squared = k[:, None, None] ** 2 + k[None, :, None] ** 2 + last**2
    squared[0, 0, 0] = np.inf
    field = np.fft.irfftn(noise * squared ** (-11 / 12), (side,) * 3, (0, 1, 2))
    return (field / field.std()).astype(np.float32)


def fields(side: int) -> Iterator[tuple[str, np.ndarray]]:
    velocity = turbulence(side)
    yield f"velocity {side}^3", velocity
    yield f"density {side}^3", np.exp(1.8 * velocity)
    root = Path(os.environ.get("MIDTREAD_DATA", Path(__file__).parents[2] / "shared" / "data"))
    for path in sorted((root / "fields").glob("*.npy")):
        x = np.load(path)
        if x.ndim == 4 and min(x.shape[1:]) > 16:  # several fields of one volume
            yield from ((f"{path.stem}[{i}]", part) for i, part in enumerate(x))
        else:
            yield path.stem, x


def best(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """(CPU seconds of the fastest call, its result); the first, which may compile, does not count."""
    work()
    fastest = float("inf")
    for _ in range(repeats):
        start = time.thread_time()
        result = work()
        fastest = min(fastest, time.thread_time() - start)
    return fastest, result


def over_bound(x: np.ndarray, x_hat: np.ndarray, bound: float) -> int:
    """Values off by more than the bound in float64; NaN must stay NaN."""
    same = (x == x_hat) | (np.isnan(x) & np.isnan(x_hat))
    with np.errstate(invalid="ignore"):
        return int(np.count_nonzero(~same & ~(np.abs(x_hat.astype(np.float64) - x.astype(np.float64)) <= bound)))


def measure(name: str, x: np.ndarray, relative: float) -> dict[str, Any]:
    usual = x[np.abs(x) < 1e19]
    bound = relative * (float(usual.max()) - float(usual.min()))
    repeats = REPEATS["large" if x.nbytes > 2**24 else "small"]
    row: dict[str, Any] = {"field": name, "shape": list(x.shape), "dtype": x.dtype.name, "bound": relative}
    volume = x.reshape((-1, *x.shape[-3:]) if x.ndim > 4 else x.shape)
    encode_s, data = best(lambda: imagecodecs.sz3_encode(volume, mode="abs", abs=bound), repeats)
    decode_s, x_hat = best(lambda: imagecodecs.sz3_decode(data, volume.shape, x.dtype), repeats)
    row["sz3"] = result(x, data, encode_s, decode_s, x_hat.reshape(x.shape), bound)
    for mode in MODES:
        codec = Field(max_error=bound, mode=mode)
        encode_s, data = best(lambda: codec.encode(x), repeats)
        decode_s, x_hat = best(lambda: decode(data), repeats)
        row[mode] = result(x, data, encode_s, decode_s, x_hat, bound)
    return row


def result(
    x: np.ndarray, data: bytes, encode_s: float, decode_s: float, x_hat: np.ndarray, bound: float
) -> dict[str, float]:
    return {
        "ratio": x.nbytes / len(data),
        "encode_gb_s": x.nbytes / encode_s / 1e9,
        "decode_gb_s": x.nbytes / decode_s / 1e9,
        "over_bound": over_bound(x, x_hat, bound),
    }


def main() -> int:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(f"{'ratio (encode / decode GB/s)':44} {'SZ3':>24} {'fast':>24} {'ratio':>24} {'ratio / SZ3':>12}")
    rows = []
    for name, x in fields(side):
        for bound in BOUNDS:
            row = measure(name, x, bound)
            rows.append(row)
            cells = [
                f"{got['ratio']:8.2f} ({got['encode_gb_s']:.2f} / {got['decode_gb_s']:.2f})"
                for got in (row["sz3"], *(row[mode] for mode in MODES))
            ]
            against = row["ratio"]["ratio"] / row["sz3"]["ratio"]
            print(f"{name[:37]:37} {bound:6.0e} " + " ".join(f"{cell:>24}" for cell in cells) + f" {against:12.3f}")
    against = [row["ratio"]["ratio"] / row["sz3"]["ratio"] for row in rows]
    broken = sum(row[mode]["over_bound"] for row in rows for mode in MODES)
    print(f"\nratio mode at or above SZ3: {sum(a >= 1 for a in against)} of {len(rows)}, least {min(against):.3f}")
    print(f"values of ours over the bound: {broken}")
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "rows": rows,
        "load": os.getloadavg()[0],
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    if side == 256:
        (Path(__file__).parent / "results" / "fields.json").write_text(json.dumps(record, indent=1) + "\n")
    enough = 3 * sum(a >= 1 for a in against) >= 2 * len(rows) and min(against) >= 0.93
    return 0 if enough and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
