"""Does the bound of `field` hold? Every dtype, bounds from 1e-1 to 1e-7, every mode, every field, and the traps.

    python benchmarks/field_bounds.py      # prints a table, writes benchmarks/results/field_bounds.json; half a minute

Fields: the .npy files of the dataset folder `fields` (see benchmarks/fields.py) and turbulence of 64**3; cast to
float16, bfloat16, float32 and float64, and, scaled to 30,000, to int16 and int32. Bounds are relative to the range. A
violation is a finite value with |x_hat - x| > bound in float64, or a NaN, infinity or fill value that did not come back
as it was.
Half-way samples lie between two symbols of the quantizer, where its rounding is hardest, within a few units in the last
place. Traps: NaN, infinities, fill values, denormals, magnitudes of 1e31, views, foreign byte order, no or one value.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fields import fields
from midtread.bench import machine
from midtread.codecs.tensor.field import Field, decode
from midtread.codecs.tensor.field_bound import steps_of, usual
from midtread.codecs.tensor.field_grid import whole
from midtread.spec import dtype_of

BOUNDS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
DTYPES = ("float16", "bfloat16", "float32", "float64", "int16", "int32")
MODES = ("fast", "ratio")


def violations(x: np.ndarray, x_hat: np.ndarray, bound: float) -> int:
    """Values that break the promise."""
    known = usual(x.reshape(-1))
    a, b = x.astype(np.float64), x_hat.astype(np.float64)
    with np.errstate(invalid="ignore"):
        kept = np.abs(b - a) <= bound
    special = ~np.isfinite(a) | np.isin(a, known.fills)
    same = np.ascontiguousarray(x).view(f"u{x.itemsize}") == np.ascontiguousarray(x_hat).view(f"u{x.itemsize}")
    return int(np.count_nonzero(~np.where(special, same | (np.isnan(a) & np.isnan(b)), kept)))


def cast(x: np.ndarray, name: str) -> np.ndarray:
    """The field as another type; integers with a range of 30,000."""
    if name.startswith("int"):
        known = usual(np.ascontiguousarray(x).reshape(-1))
        scaled = (np.where(np.abs(x) < 1e19, x, known.least) - known.least) / (known.spread or 1.0)
        return np.rint(30000 * scaled).astype(name)
    with np.errstate(over="ignore"):
        return x.astype(dtype_of(name))


def half_way(name: str, bound: float, step: float) -> np.ndarray:
    """Values next to the middle between two symbols, from small to large."""
    k = np.concatenate([np.arange(500), 2 ** np.arange(9, 20), 3 ** np.arange(6, 13)])
    with np.errstate(over="ignore"):
        middle = ((k + 0.5) * step).astype(dtype_of(name))
    below, above = (np.nextafter(middle, middle.dtype.type(side)) for side in (-np.inf, np.inf))
    values = np.concatenate([middle, below, above, -middle, -below, -above])
    return values[np.isfinite(values)].astype(dtype_of(name))


def traps() -> dict[str, np.ndarray]:
    """The inputs on which other codecs crash or break their bound."""
    rng = np.random.default_rng(0)
    base = np.cumsum(rng.normal(size=(24, 33, 41)), -1).astype(np.float32)

    def with_(value: float, share: float) -> np.ndarray:
        x = base.copy()
        x[rng.random(x.shape) < share] = value
        return x

    return {
        "NaN": with_(np.nan, 0.05),
        "infinities": with_(-np.inf, 0.05),
        "30 % fill 1e20": with_(1e20, 0.3),
        "30 % fill -9999": with_(-9999, 0.3),
        "denormals": base * np.float32(1e-42),
        "magnitudes 1e31": base * np.float32(1e31),
        "a view": base[::2, :, ::-1].transpose(2, 0, 1),
        "big-endian": base.astype(">f4"),
        "constant": np.full((9, 9), 3.5, np.float32),
        "one value": np.array(2.5),
        "empty": np.zeros((3, 0, 2), np.float32),
        "six axes": base[:, :32, :40].reshape(4, 6, 8, 4, 5, 8),
        "-0.0": with_(-0.0, 0.3),
    }


def main() -> int:
    warnings.simplefilter("ignore", UserWarning)  # bounds that save nothing
    start, rows, total, broken = time.monotonic(), [], 0, 0
    for name, source in fields(64):
        for dtype in DTYPES:
            x = cast(source, dtype)
            for mode in MODES:
                for bound in BOUNDS:
                    codec = Field(max_error_of_range=bound, mode=mode)
                    absolute = codec.bound(np.ascontiguousarray(x).reshape(-1))
                    bad = violations(x, decode(codec.encode(x)), absolute)
                    total, broken = total + x.size, broken + bad
                    rows.append({"field": name, "dtype": dtype, "mode": mode, "bound": bound, "violations": bad})
        print(f"{name:34} {total:12,} values so far, {broken} violations", flush=True)
    halves, halves_broken = 0, 0
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        for bound in (0.1, 1e-3, 0.37e-5):
            probe = np.ones((1, 1, 8), np.float32 if dtype == "float32" else np.float64)
            step = steps_of(probe.reshape(-1), whole(probe.shape), dtype_of(dtype), bound)[0] or 2 * bound
            x = half_way(dtype, bound, step)
            for mode in MODES:
                bad = violations(x, decode(Field(max_error=bound, mode=mode).encode(x)), bound)
                halves, halves_broken = halves + x.size, halves_broken + bad
    print(f"half-way samples: {halves:,} values, {halves_broken} violations")
    trapped: dict[str, Any] = {}
    for name, x in traps().items():
        codecs = [Field(max_error_of_range=1e-3, mode=mode) for mode in (*MODES, "archive")]
        native = np.ascontiguousarray(x, x.dtype.newbyteorder("="))
        bound = codecs[0].bound(native.reshape(-1)) if x.size else 0.0
        trapped[name] = sum(violations(native, decode(codec.encode(x)), bound) for codec in codecs)
    print("traps: " + ", ".join(f"{name} {bad}" for name, bad in trapped.items()))
    record = {
        "recipe": __doc__, "values": total, "violations": broken, "half_way_values": halves,
        "half_way_violations": halves_broken, "traps": trapped, "rows": rows, "seconds": time.monotonic() - start,
        "machine": machine.describe(), "versions": machine.versions(), "commit": machine.commit(),
    }  # fmt: skip
    path = Path(__file__).parent / "results" / "field_bounds.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if broken or halves_broken or any(trapped.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
