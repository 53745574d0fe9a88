"""The entropy room against its promises, and against constriction and CompressAI on the same symbols.

    python benchmarks/entropy.py             # prints a table, writes benchmarks/results/entropy.json; 2 minutes

CompressAI wants an older NumPy, so it may live in an environment of its own: COMPRESSAI_PYTHON names that one's Python.

Source "gaussian": 10 M symbols, each round(N(0, s)) with a scale s of its own, s = 0.11 * (32 / 0.11)**u and
u ~ Beta(1, 2.1); ideal = -sum log2 P(symbol | s) with the exact scale. Source "static": 10 M symbols of one two-sided
geometric of 256 symbols, ideal = its entropy. Speeds are CPU time of the thread (the machine is shared), best of the
repeats, everything inside `encode` and `decode` counted, the fresh memory of the result too. Two threads: the calling
thread's CPU time and half of that of its two workers, against the CPU time of one; the wall clock is printed beside it.
Every other coder and the causal model: 1 M symbols of a smooth plane, no numbers asked.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.special import ndtr

from midtread.bench import machine
from midtread.entropy.coder import Coder, open_coder
from midtread.entropy.families import UNIT, Family
from midtread.entropy.frozen import FrozenModel
from midtread.entropy.models import open_model
from midtread.entropy.tables import Tables, normalise
from midtread.registry import CODERS

COUNT = 10_000_000
REPEATS = 40  # on a shared machine the best of many is the machine, the rest is its neighbours


def gaussian_source(count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(symbols int32, scales float64, ideal bits)."""
    rng = np.random.default_rng(3)
    scales = 0.11 * (32 / 0.11) ** rng.beta(1.0, 2.1, count)
    symbols = np.rint(rng.normal(size=count) * scales).astype(np.int32)
    k = -np.abs(symbols)  # the tail where ndtr keeps its digits
    ideal = -np.log2(ndtr((k + 0.5) / scales) - ndtr((k - 0.5) / scales)).sum()
    return symbols, scales, float(ideal)


def static_source(count: int) -> tuple[np.ndarray, Tables, float]:
    """(symbols, their table, ideal bits)."""
    k = np.arange(-128, 128)
    p = 0.955 ** np.abs(k)
    p /= p.sum()
    symbols = np.random.default_rng(4).choice(k, size=count, p=p).astype(np.int32)
    weights = np.append(np.rint(p * 2**40).astype(np.int64), 1)
    return symbols, Tables.of([(-128, normalise(weights, 16).tolist())]), float(-np.log2(p)[symbols + 128].sum())


def best(work, clock=time.thread_time, repeats=REPEATS):
    """(seconds of the fastest call, its result)."""
    fastest = float("inf")
    for _ in range(repeats):
        start = clock()
        result = work()
        fastest = min(fastest, clock() - start)
    return fastest, result


class Report:
    """Rows of asked and got."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def add(
        self, what: str, got: float, unit: str, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        asked = at_least if at_least is not None else at_most
        reached = None if asked is None else (got >= asked if at_least is not None else got <= asked)
        self.rows.append(
            {"what": what, "got": got, "unit": unit, "at_least": at_least, "at_most": at_most, "reached": reached}
        )
        sign = "" if asked is None else f"{'>=' if at_least is not None else '<='} {asked:g}"
        mark = {None: "", True: "reached", False: "MISSED"}[reached]
        print(f"{what:62} {got:10.4g} {unit:8} {sign:10} {mark}", flush=True)


def measure_gaussian(report: Report) -> None:
    symbols, scales, ideal = gaussian_source(COUNT)
    report.add("gaussian: ideal", ideal / COUNT, "bit/sym")
    family = Family("gaussian")
    fixed = np.rint(scales * UNIT).astype(np.int32)
    family.index(fixed)
    seconds, indices = best(lambda: family.index(fixed))
    report.add("index of the table from integer scales", COUNT / seconds / 1e6, "Msym/s", at_least=200)
    coder = open_coder("rans")
    coder.decode(coder.encode(symbols, family.tables, indices), COUNT, family.tables, indices)
    encode_s, data = best(lambda: coder.encode(symbols, family.tables, indices))
    decode_s, back = best(lambda: coder.decode(data, COUNT, family.tables, indices))
    assert np.array_equal(back, symbols)
    report.add("gaussian, 64 scales: rans encode", COUNT / encode_s / 1e6, "Msym/s", at_least=300)
    report.add("gaussian, 64 scales: rans decode", COUNT / decode_s / 1e6, "Msym/s", at_least=250)
    report.add("gaussian, 64 scales: over the continuous ideal", 100 * (8 * len(data) / ideal - 1), "%", at_most=0.08)
    tables_bits = family.tables.bits(symbols, indices)
    report.add("    of which the 64 tables", 100 * (tables_bits / ideal - 1), "%")
    report.add("    of which the coder", 100 * (8 * len(data) - tables_bits) / ideal, "%")
    for count in (128, 256):
        more = Family("gaussian", count=count)
        size = len(coder.encode(symbols, more.tables, more.index(fixed)))
        report.add(f"gaussian, {count} scales: over the continuous ideal", 100 * (8 * size / ideal - 1), "%")
    threads(report, symbols, family.tables, indices, data)
    peers(report, symbols, scales, ideal, encode_s, decode_s)


def threads(report: Report, symbols: np.ndarray, tables: Tables, indices: np.ndarray, data: bytes) -> None:
    """Two threads against one: by the CPU time of the longest path, and by the wall clock, in turns."""
    one, two = open_coder("rans", threads=1), open_coder("rans", threads=2)
    assert two.encode(symbols, tables, indices) == data
    work = {
        "encode": (lambda: one.encode(symbols, tables, indices), lambda: two.encode(symbols, tables, indices)),
        "decode": (lambda: one.decode(data, COUNT, tables, indices), lambda: two.decode(data, COUNT, tables, indices)),
    }
    for verb, (alone, both) in work.items():
        cpu_1 = cpu_2 = wall_1 = wall_2 = float("inf")
        for _ in range(REPEATS):
            _, wall, own = clocks(alone)
            cpu_1, wall_1 = min(cpu_1, own), min(wall_1, wall)
            process, wall, own = clocks(both)
            cpu_2, wall_2 = min(cpu_2, own + (process - own) / 2), min(wall_2, wall)
        report.add(f"rans {verb}, two threads against one (CPU, longest path)", cpu_1 / cpu_2, "x", at_least=1.8)
        report.add(
            f"    by the wall clock, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs", wall_1 / wall_2, "x"
        )
        report.add("    two threads, wall clock", COUNT / wall_2 / 1e6, "Msym/s")


def clocks(work) -> tuple[float, float, float]:
    """(CPU time of all threads, wall clock, CPU time of this thread) of one call."""
    starts = time.process_time(), time.perf_counter(), time.thread_time()
    work()
    ends = time.process_time(), time.perf_counter(), time.thread_time()
    process, wall, own = (end - start for start, end in zip(starts, ends, strict=True))
    return process, wall, own


def peers(
    report: Report, symbols: np.ndarray, scales: np.ndarray, ideal: float, encode_s: float, decode_s: float
) -> None:
    """constriction, and CompressAI's coder where there is one, on the same symbols."""
    import constriction

    few = 1_000_000
    symbols, scales = symbols[:few], scales[:few]
    means = np.zeros(few)
    model = constriction.stream.model.QuantizedGaussian(-1000, 1000)

    def encode() -> np.ndarray:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, model, means, scales)
        return coder.get_compressed()

    seconds, words = best(encode, repeats=3)
    report.add("constriction ANS, gaussian: encode", few / seconds / 1e6, "Msym/s")
    report.add("rans against constriction, encode", (COUNT / encode_s) / (few / seconds), "x", at_least=10)
    seconds, back = best(lambda: constriction.stream.stack.AnsCoder(words).decode(model, means, scales), repeats=3)
    assert np.array_equal(back, symbols)
    report.add("constriction ANS, gaussian: decode", few / seconds / 1e6, "Msym/s")
    report.add("rans against constriction, decode", (COUNT / decode_s) / (few / seconds), "x", at_least=10)
    compressai(report, symbols, scales, encode_s, decode_s)


COMPRESSAI = """
import importlib.util, json, sys, time
from importlib.metadata import version
from pathlib import Path
package = importlib.util.find_spec("compressai")
if package is None:
    sys.exit("not installed")
path = next(Path(package.submodule_search_locations[0]).glob("ans.*"))  # alone: the package itself would load torch
spec = importlib.util.spec_from_file_location("ans", path)
ans = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ans)
symbols, *tables = json.load(sys.stdin)
encode_s = decode_s = float("inf")
for _ in range(5):
    start = time.thread_time()
    data = ans.RansEncoder().encode_with_indexes(symbols, *tables)
    middle = time.thread_time()
    back = ans.RansDecoder().decode_with_indexes(data, *tables)
    encode_s, decode_s = min(encode_s, middle - start), min(decode_s, time.thread_time() - middle)
assert back == symbols
print(json.dumps([version("compressai"), encode_s, decode_s, len(data)]))
"""


def compressai(report: Report, symbols: np.ndarray, scales: np.ndarray, encode_s: float, decode_s: float) -> None:
    """CompressAI's rANS on the same symbols, tables and indices, all in the lists that it takes, already made."""
    family = Family("gaussian")
    tables, indices = family.tables, family.index(np.rint(scales * UNIT).astype(np.int32))
    rows = [np.cumsum(np.append(0, tables.row(t)[1].astype(np.int64))).tolist() for t in range(len(tables))]
    longest = max(map(len, rows))
    padded = [row + [0] * (longest - len(row)) for row in rows]
    given = [symbols.tolist(), indices.tolist(), padded, [len(row) for row in rows], tables.lows.tolist()]
    python = os.environ.get("COMPRESSAI_PYTHON", sys.executable)
    done = subprocess.run([python, "-c", COMPRESSAI], input=json.dumps(given), capture_output=True, text=True)
    if done.returncode:
        print(f"CompressAI: {done.stderr.strip()}; not compared (set COMPRESSAI_PYTHON to a Python that has it)")
        return
    version, their_encode_s, their_decode_s, size_bytes = json.loads(done.stdout)
    ours = len(open_coder("rans").encode(symbols, tables, indices))
    report.add(f"CompressAI {version}, gaussian: encode", symbols.size / their_encode_s / 1e6, "Msym/s")
    report.add(
        "rans against CompressAI, encode", (COUNT / encode_s) / (symbols.size / their_encode_s), "x", at_least=10
    )
    report.add(f"CompressAI {version}, gaussian: decode", symbols.size / their_decode_s / 1e6, "Msym/s")
    report.add(
        "rans against CompressAI, decode", (COUNT / decode_s) / (symbols.size / their_decode_s), "x", at_least=10
    )
    lists_s = best(lambda: (symbols.tolist(), indices.tolist()), repeats=3)[0]
    arrays_s = best(lambda: (indices.tolist(), np.array(given[0], dtype=np.int32)), repeats=3)[0]
    speeds = symbols.size / (their_encode_s + lists_s), symbols.size / (their_decode_s + arrays_s)
    report.add("    arrays to lists counted, as rans counts its arrays: encode", COUNT / encode_s / speeds[0], "x")
    report.add("    arrays to lists and back counted: decode", COUNT / decode_s / speeds[1], "x")
    report.add("rans against CompressAI, size with the same tables", 100 * (ours / size_bytes - 1), "%")


def measure_static(report: Report) -> None:
    symbols, tables, ideal = static_source(COUNT)
    report.add("static 256: ideal", ideal / COUNT, "bit/sym")
    coder = open_coder("rans")
    coder.decode(coder.encode(symbols, tables), COUNT, tables)
    encode_s, data = best(lambda: coder.encode(symbols, tables))
    decode_s, back = best(lambda: coder.decode(data, COUNT, tables))
    assert np.array_equal(back, symbols)
    report.add("static 256: rans encode", COUNT / encode_s / 1e6, "Msym/s", at_least=300)
    report.add("static 256: rans decode", COUNT / decode_s / 1e6, "Msym/s", at_least=380)
    report.add("static 256: over the ideal", 100 * (8 * len(data) / ideal - 1), "%", at_most=0.01)


def measure_others(report: Report) -> None:
    """Speed and size of every coder, and of the causal model, on a plane of 1024 x 1024."""
    rng = np.random.default_rng(5)
    strength = np.exp(2 * np.sin(np.arange(1024) / 90)[:, None] + 2 * np.cos(np.arange(1024) / 130))
    plane = np.rint(rng.laplace(size=(1024, 1024)) * strength).astype(np.int32)
    for order in ("one", "causal"):
        model = open_model("static", order=order)
        model.observe(plane)
        for name in CODERS.names() if order == "one" else ["rans"]:
            title = f"plane, {'one table' if order == 'one' else 'causal model'}, {name}"
            measure_model(report, title, model.freeze(), open_coder(name), plane)


def measure_model(report: Report, title: str, frozen: FrozenModel, coder: Coder, plane: np.ndarray) -> None:
    frozen.decode(frozen.encode(plane, coder), plane.shape, coder)
    encode_s, data = best(lambda: frozen.encode(plane, coder), repeats=3)
    decode_s, back = best(lambda: frozen.decode(data, plane.shape, coder), repeats=3)
    assert np.array_equal(back, plane)
    report.add(f"{title}: size", 8 * len(data) / plane.size, "bit/sym")
    report.add(f"{title}: encode", plane.size / encode_s / 1e6, "Msym/s")
    report.add(f"{title}: decode", plane.size / decode_s / 1e6, "Msym/s")


SMALL = """
import sys, time
import numpy as np
from midtread.entropy.coder import open_coder
from midtread.entropy.families import Family
tables = Family().tables
rng = np.random.default_rng(1)
over = []
for _ in range(200):
    indices = rng.integers(0, 64, 100)
    symbols = np.rint(rng.normal(size=100) * Family().scales[indices] / 65536).astype(np.int32)
    data = open_coder("rans").encode(symbols, tables, indices)
    assert (open_coder("rans").decode(data, 100, tables, indices) == symbols).all()
    over.append(len(data) - tables.bits(symbols, indices) / 8)
indices = rng.integers(0, 64, 99_999)
symbols = np.rint(rng.normal(size=99_999) * Family().scales[indices] / 65536).astype(np.int32)
start = time.thread_time()
data = open_coder("rans").encode(symbols, tables, indices)
middle = time.thread_time()
open_coder("rans").decode(data, 99_999, tables, indices)
print(sum(over) / 200, max(over), int("numba" in sys.modules), middle - start, time.thread_time() - middle)
"""


def measure_small(report: Report) -> None:
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    mean, most, numba, encode_s, decode_s = map(float, done.stdout.split())
    report.add("100 symbols: mean bytes over the tables' ideal", mean, "bytes")
    report.add("100 symbols: most bytes over the tables' ideal, of 200", most, "bytes", at_most=8)
    report.add("numba imported by streams of 99,999 symbols", numba, "", at_most=0)
    report.add("99,999 symbols in plain Python, encode", 1e3 * encode_s, "ms")
    report.add("99,999 symbols in plain Python, decode", 1e3 * decode_s, "ms")


def main() -> int:
    report = Report()
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    measure_gaussian(report)
    measure_static(report)
    measure_small(report)
    measure_others(report)
    record = {
        "recipe": __doc__,
        "repeats": REPEATS,
        "rows": report.rows,
        "load": os.getloadavg()[0],
        "machine": machine.describe(),
        "versions": machine.versions(),
        "commit": machine.commit(),
    }
    (Path(__file__).parent / "results" / "entropy.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(row["reached"] is not False for row in report.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
