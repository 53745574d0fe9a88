"""`field` beside SZ3 on the same fields: ratio, speed of one thread both ways, and whether the bound holds.

    python benchmarks/fields.py [side]        # prints a table, writes benchmarks/results/fields.json; 5 minutes at 256

Synthetic: `turbulence` of midtread.bench.field_datasets, side**3 float32 ("velocity"), and exp(1.8 of it) ("density").
Real: the .npy files of the dataset folder `fields`, in $MIDTREAD_DATA or shared/data beside the checkout; volumes of
a file with four axes one by one, unless thin. Bounds are relative to the range, fill values left out. Ratios
are of whole files. Speeds are CPU time of the thread, GB/s of input, best of the repeats, all of `encode` and `decode`
counted, fresh memory too; of two threads, the wall clock. SZ3 is the one of imagecodecs, its default algorithm, and
where pysz is installed (`pip install pysz`), both algorithms of that one; the ratio beside it is of the best of them.
Archive mode is compared with the best of SZ3, SPERR, zfp and LERC.
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
from midtread.bench.field_datasets import turbulence
from midtread.codecs.tensor.field import Field, decode
from midtread.codecs.tensor.field_bound import usual
from midtread.errors import CodecError
from midtread.spec import open_codec

BOUNDS = (1e-2, 1e-3, 1e-4)
MODES = ("fast", "ratio")
PEERS = ("sz3", "sperr", "zfp", "lerc")  # our files of them
REPEATS = {"large": 3, "small": 5}


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


def sz3_codecs() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """SZ3 by name: (x, bound) -> bytes, (bytes, x) -> array. Of pysz both algorithms, where it is installed."""
    found: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "sz3": (
            lambda x, bound: imagecodecs.sz3_encode(x, mode="abs", abs=bound),
            lambda data, x: imagecodecs.sz3_decode(data, x.shape, x.dtype),
        )
    }
    try:
        import pysz
    except ImportError:
        return found
    for algorithm in ("INTERP_LORENZO", "LORENZO_REG"):

        def encode(x: np.ndarray, bound: float, algorithm: str = algorithm) -> Any:
            config = pysz.szConfig()
            config.errorBoundMode, config.absErrorBound = pysz.szErrorBoundMode.ABS, bound
            config.cmprAlgo = getattr(pysz.szAlgorithm, algorithm)
            return pysz.sz.compress(x, config)[0]

        name = f"pysz {algorithm.lower()}"
        found[name] = encode, lambda data, x: pysz.sz.decompress(data, x.dtype.type, x.shape)[0]
    return found


def measure(name: str, x: np.ndarray, relative: float) -> dict[str, Any]:
    bound = relative * usual(x.reshape(-1)).spread
    repeats = REPEATS["large" if x.nbytes > 2**24 else "small"]
    row: dict[str, Any] = {"field": name, "shape": list(x.shape), "dtype": x.dtype.name, "bound": relative}
    volume = np.ascontiguousarray(x.reshape((-1, *x.shape[-3:]) if x.ndim > 4 else x.shape))
    for peer, (encode, undo) in sz3_codecs().items():
        encode_s, data = best(lambda: encode(volume, bound), repeats)
        decode_s, x_hat = best(lambda: undo(data, volume), repeats)
        row[peer] = result(x, data, encode_s, decode_s, np.asarray(x_hat).reshape(x.shape), bound)
    for mode in MODES:
        codec = Field(max_error=bound, mode=mode)
        encode_s, data = best(lambda: codec.encode(x), repeats)
        decode_s, x_hat = best(lambda: decode(data), repeats)
        row[mode] = result(x, data, encode_s, decode_s, x_hat, bound)
    row["archive"], row["peers"] = archive(x, bound), {}
    for peer in PEERS:
        try:
            row["peers"][peer] = x.nbytes / len(open_codec(peer, max_error=bound).encode(x))
        except CodecError as error:  # it does not take this field
            row["peers"][peer] = None
            row.setdefault("refused", {})[peer] = str(error)
    return row


def archive(x: np.ndarray, bound: float) -> dict[str, float]:
    codec = Field(max_error=bound, mode="archive")
    start = time.thread_time()
    data = codec.encode(x)
    encode_s, start = time.thread_time() - start, time.thread_time()
    x_hat = decode(data)
    return result(x, data, encode_s, time.thread_time() - start, x_hat, bound)


def result(
    x: np.ndarray, data: Any, encode_s: float, decode_s: float, x_hat: np.ndarray, bound: float
) -> dict[str, float]:
    return {
        "ratio": x.nbytes / len(data),
        "encode_gb_s": x.nbytes / encode_s / 1e9,
        "decode_gb_s": x.nbytes / decode_s / 1e9,
        "over_bound": over_bound(x, x_hat, bound),
    }


def two_threads(x: np.ndarray) -> dict[str, dict[str, float]]:
    """How much faster two threads are than one, by the wall clock; the best of the repeats of each."""
    gains = {}
    for mode in MODES:
        seconds = {}
        for threads in (1, 2, 1, 2):
            codec = Field(max_error_of_range=1e-3, mode=mode, threads=threads)
            for what, work in (("encode", lambda: codec.encode(x)), ("decode", lambda: decode(data, threads=threads))):
                data = codec.encode(x) if what == "decode" else b""
                for _ in range(4):
                    start = time.perf_counter()
                    work()
                    took = time.perf_counter() - start
                    seconds[what, threads] = min(seconds.get((what, threads), took), took)
        gains[mode] = {what: seconds[what, 1] / seconds[what, 2] for what in ("encode", "decode")}
    return gains


def show(row: dict[str, Any]) -> str:
    cells = [
        f"{got['ratio']:8.2f} ({got['encode_gb_s']:.2f} / {got['decode_gb_s']:.2f})"
        for got in (row["sz3"], *(row[mode] for mode in MODES))
    ]
    peers = max(ratio for ratio in row["peers"].values() if ratio)
    text = f"{row['field'][:30]:30} {row['bound']:6.0e} " + " ".join(f"{cell:>22}" for cell in cells)
    return f"{text} {against_sz3(row):9.3f} {row['archive']['ratio'] / max(peers, sz3_ratio(row)):9.3f}"


def sz3_ratio(row: dict[str, Any]) -> float:
    """Of the best of SZ3's algorithms."""
    return float(max(row[name]["ratio"] for name in sz3_codecs()))


def against_sz3(row: dict[str, Any]) -> float:
    return float(row["ratio"]["ratio"] / sz3_ratio(row))


def summary(rows: list[dict[str, Any]], threads: dict[str, dict[str, float]]) -> dict[str, Any]:
    against = [against_sz3(row) for row in rows]
    large = [row for row in rows if row["field"].split()[0] in ("velocity", "density")]

    def times(mode: str, peer: str, what: str, among: list[dict[str, Any]]) -> dict[str, float]:
        ratios = sorted(row[mode][what] / row[peer][what] for row in among)
        return {"least": ratios[0], "median": ratios[len(ratios) // 2], "most": ratios[-1]}

    return {
        "values_over_the_bound": sum(row[mode]["over_bound"] for row in rows for mode in (*MODES, "archive")),
        "ratio_mode_at_or_above_sz3": f"{sum(a >= 1 for a in against)} of {len(rows)}",
        "ratio_mode_least_of_sz3": min(against),
        "fast_gb_s": {what: [min(row["fast"][what] for row in large), max(row["fast"][what] for row in large)]
                      for what in ("encode_gb_s", "decode_gb_s")},
        "times_sz3": {mode: {peer: {what: times(mode, peer, what, large) for what in ("encode_gb_s", "decode_gb_s")}
                             for peer in sz3_codecs()} for mode in MODES},
        "times_sz3_all_fields": {mode: {what: times(mode, "sz3", what, rows) for what in ("encode_gb_s", "decode_gb_s")}
                                 for mode in MODES},
        "archive_best_of_all": sum(
            row["archive"]["ratio"] >= max([sz3_ratio(row), *(r for r in row["peers"].values() if r)]) for row in rows
        ),
        "two_threads_times_one": threads,
    }  # fmt: skip


def main() -> int:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs; SZ3: {', '.join(sz3_codecs())}")
    print(f"{'ratio (encode / decode GB/s)':37} {'SZ3':>22} {'fast':>22} {'ratio':>22} ratio/SZ3 arch/best")
    rows = []
    for name, x in fields(side):
        for bound in BOUNDS:
            rows.append(measure(name, x, bound))
            print(show(rows[-1]), flush=True)
    found = summary(rows, two_threads(turbulence(side)))
    print(json.dumps(found, indent=1))
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "summary": found,
        "rows": rows,
        "load": os.getloadavg()[0],
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    if side == 256:
        (Path(__file__).parent / "results" / "fields.json").write_text(json.dumps(record, indent=1) + "\n")
    return 1 if found["values_over_the_bound"] else 0


if __name__ == "__main__":
    sys.exit(main())
