"""Tables are integers that sum to a power of two, the same on every machine, and hostile bytes cannot make others."""

import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy_samples import bell, few_tables, noise, some_symbols
from midtread.container import Reader, varint
from midtread.entropy import exact_math, table_bytes
from midtread.entropy.families import NAMES, UNIT, Family, mix
from midtread.entropy.loading import expecting
from midtread.entropy.table_fit import fit, from_counts
from midtread.entropy.tables import Tables, normalise
from midtread.errors import BitstreamError, LimitError, UsageError

GOLDEN = Path(__file__).parent / "golden" / "entropy"
# CRC-32 of the 64 default tables of each family: a machine that computes others could not decode old files.
DIGESTS = {
    "gaussian": 0x3D4F30B2,
    "laplace": 0x66860B5E,
    "logistic": 0x0CF95F48,
    "generalized-gaussian": 0x6B99BBAF,
    "two-sided-geometric": 0x0FCFCE98,
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((11, [0], [1], [1, 1]), "precision=11; tables have 12 to 18 bits"),
        ((16, [0], [2], [65_535, 0, 0]), r"table 0 sum to 65535, not to 2\*\*16 = 65536"),
        ((16, [0, 0], [1, 1], [65_536, 0, 65_536, 1]), "table 1 sum to 65537"),
        ((16, [0], [0], [65_536]), "table 0 has 0 symbols"),
        ((16, [0], [65_537], [1]), "table 0 has 65537 symbols"),
        ((16, [0], [2], [65_536]), "take 3 frequencies, 4194304 at most; got 1"),
        ((16, [0] * 70, [65_536] * 70, [1]), "take 4587590 frequencies"),
        ((16, [2**31 - 1], [2], [1, 1, 65_534]), "table 0 reaches to 2147483648"),
        ((16, [], [], []), "1 to 65536 lows"),
        ((16, [0], [1], [-1, 65_537]), "frequencies are uint32, got -1"),
        ((16, [0], [1], [0.5, 0.5]), "frequencies are integers, got float64"),
        ((16, [2**40], [1], [65_536, 0]), "lows are int32, got 1099511627776"),
    ],
)
def test_tables_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Tables.build(*(np.array(a, dtype=None if a else np.int64) if isinstance(a, list) else a for a in arguments))


def test_tables_cannot_be_changed_by_anybody():
    lows, frequencies = np.array([0]), np.array([65_536, 0])
    tables = Tables.build(16, lows, [1], frequencies)
    lows[0], frequencies[0] = 5, 9
    assert tables.row(0)[0] == 0
    assert tables.row(0)[1].tolist() == [65_536, 0]
    with pytest.raises(ValueError, match="read-only"):
        tables.frequencies[0] = 1
    with pytest.raises(UsageError, match="read-only"):
        Tables(16, lows, lows, frequencies)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2**38), min_size=1, max_size=60).filter(any), st.integers(12, 18))
def test_normalised_weights_sum_and_keep_what_is_possible(weights, precision):
    weights = np.array(weights)
    frequencies = normalise(weights, precision).astype(np.int64)
    assert frequencies.sum() == 1 << precision
    assert ((frequencies > 0) == (weights > 0)).all()
    exact = weights / weights.sum() * (1 << precision)
    assert (np.abs(frequencies - exact) <= 1 + np.maximum(1, exact * 0.02)).all()


def test_normalise_when_nearly_every_place_is_forced():
    weights = np.append(np.ones(65_535, dtype=np.int64), 10**12)
    assert normalise(weights, 16).tolist() == [1] * 65_536
    with pytest.raises(UsageError, match="65537 positive weights"):
        normalise(np.append(weights, 1), 16)
    with pytest.raises(UsageError, match="0 positive weights"):
        normalise(np.zeros(3, dtype=np.int64), 16)


def test_ideal_bits_are_the_sum_of_logarithms():
    tables = Tables.of([(0, [2**15, 2**14, 2**14 - 2**10, 2**10])])
    assert tables.bits(np.array([0, 1])) == 3
    assert tables.bits(np.array([99])) == 6 + 16  # an escape and two bytes of 7 bits


def test_exact_math_is_as_good_as_the_library():
    x = np.linspace(-699, 700, 20_001)
    assert np.abs(exact_math.exp(x) / np.exp(x) - 1).max() < 1e-15
    y = np.exp(np.linspace(-300, 300, 20_001)) * 1.37
    np.testing.assert_allclose(exact_math.log(y), np.log(y), rtol=4e-16, atol=3e-16)
    assert exact_math.power(np.array([0.0, 4.0]), 0.5).tolist() == [0.0, pytest.approx(2.0, rel=1e-15)]
    assert exact_math.exp(np.array([-1e9]))[0] == 0


@pytest.mark.parametrize("name", NAMES)
def test_family_tables_are_the_integers_they_always_were(name):
    assert Family(name).tables.digest == DIGESTS[name]


def _closed_forms(name: str, scale: float, shape: float, edges: np.ndarray) -> np.ndarray:
    special = pytest.importorskip("scipy.special")
    if name == "gaussian":
        return special.ndtr(edges / scale)
    if name == "laplace":
        return np.where(edges < 0, 0.5 * np.exp(-np.abs(edges) / scale), 1 - 0.5 * np.exp(-np.abs(edges) / scale))
    if name == "logistic":
        return special.expit(edges / scale)
    return 0.5 + 0.5 * np.sign(edges) * special.gammainc(1 / shape, (np.abs(edges) / scale) ** shape)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "two-sided-geometric"])
@pytest.mark.parametrize("t", [0, 9, 30, 63])
def test_family_tables_are_the_distribution_to_one_part_in_65536(name, t):
    family = Family(name)
    low, frequencies = family.tables.row(t)
    edges = low + np.arange(len(frequencies)) - 0.5
    masses = np.diff(_closed_forms(name, family.scales[t] / UNIT, family.shape / 256, edges))
    assert np.abs(frequencies[:-1] / 65_536 - masses).max() < 2.1 / 65_536
    assert np.abs(frequencies[:-1].astype(int) - frequencies[-2::-1]).max() <= 1  # symmetric but for rounding


def test_two_sided_geometric_falls_by_the_same_factor():
    family = Family("two-sided-geometric", precision=18)
    low, frequencies = family.tables.row(30)
    right = frequencies[-low : -low + 12].astype(float)
    np.testing.assert_allclose(right[1:] / right[:-1], math.exp(-UNIT / family.scales[30]), rtol=2e-3)


@pytest.mark.parametrize("count", [2, 64, 300])
def test_the_index_is_the_nearest_scale(count):
    family = Family(count=count)
    scales = np.concatenate([noise(4000, 2**24), family.thresholds, family.thresholds - 1, [0, 1, 2**31 - 1]])
    slow = family.index(scales)
    with expecting(10**6):
        np.testing.assert_array_equal(family.index(scales), slow)
    ratio = np.abs(np.log(np.maximum(scales, 1)[:, None]) - np.log(family.scales))
    best = ratio.min(axis=1)
    np.testing.assert_allclose(ratio[np.arange(scales.size), slow], best, atol=1e-9)
    assert slow.dtype == (np.uint8 if count <= 256 else np.uint16)
    with pytest.raises(UsageError, match="scales are at least 0, got -1"):
        family.index(np.array([-1]))


@pytest.mark.parametrize("options", [{"name": "cauchy"}, {"count": 1}, {"precision": 20}, {"lowest": 9, "highest": 8}])
def test_families_that_cannot_be_are_refused(options):
    with pytest.raises(UsageError):
        Family(**options)


def test_a_family_too_large_to_compute_is_refused():
    with pytest.raises(UsageError, match="fewer or smaller scales"):
        _ = Family("laplace", count=1024, lowest=1 << 27, highest=1 << 28).tables


def test_mixtures_are_sums():
    tables = Family().tables
    mixed = mix(tables, [(3, 40, 8), (3, 40, 0), (10, 30, 4)])
    np.testing.assert_array_equal(mixed.row(1)[1], tables.row(40)[1])
    low, frequencies = mixed.row(2)
    a, b = tables.row(10), tables.row(30)
    assert low == b[0]
    assert frequencies[-low] == pytest.approx((a[1][-a[0]] + b[1][-b[0]]) / 2, abs=2)


def counted(symbols: np.ndarray) -> float:
    """Empirical entropy in bits."""
    times = np.unique(symbols, return_counts=True)[1]
    return float(-(times * np.log2(times / times.sum())).sum())


@pytest.mark.parametrize("count", [1, 30, 1000, 20_000])
def test_fitted_tables_and_their_header_are_close_to_the_entropy(count):
    symbols = noise(count, 40) * noise(count, 3, 7) - noise(count, 30, 9)
    tables = fit(symbols)
    header = 8 * len(table_bytes.write(tables))
    assert tables.bits(symbols) + header <= counted(symbols) * 1.01 + 8 * (18 + 0.8 * np.unique(symbols).size)


def test_fitted_tables_per_index():
    symbols, indices = noise(9000, 30), noise(9000, 3, 4)
    symbols = symbols * (indices + 1) - 9 * indices
    tables = fit(symbols, indices, 5)
    assert len(tables) == 5  # two without symbols
    ideal = sum(counted(symbols[indices == t]) for t in range(3))
    assert tables.bits(symbols, indices) <= 1.01 * ideal
    with expecting(10**6):
        assert fit(symbols, indices, 5).digest == tables.digest


def test_outliers_are_escaped_and_nothing_is_too_wide():
    symbols = np.concatenate([noise(1000, 9), [2**31 - 1, -(2**31)]])
    tables = fit(symbols)
    assert tables.sizes.tolist() == [9]
    wide = np.arange(-100_000, 100_000, 2)
    assert fit(wide).sizes[0] <= 2**16
    assert fit(np.zeros(0, dtype=np.int32)).sizes.tolist() == [1]
    assert fit(np.tile(np.arange(65_536), 2)).precision == 18


def test_fits_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="count=0"):
        fit(np.zeros(3, dtype=int), None, 0)
    with pytest.raises(UsageError, match="each from 0 to 1"):
        fit(np.zeros(3, dtype=int), np.array([0, 1, 2]), 2)


WRITTEN = {
    "exact": few_tables(18).select(np.array([5, 0, 0, 3])),
    "fitted": fit(*some_symbols(few_tables(), 2000)),
    "family": Family("laplace", 20).tables,
    "mixture": mix(Family(count=20).tables, [(1, 9, 3), (2, 2, 8)]),
    "ends": Tables.of([(-(2**31), [2**15, 2**15]), (2**31 - 1, [2**15, 2**15])]),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_written_tables_are_read_again(kind):
    tables = WRITTEN[kind]
    reader = Reader(table_bytes.write(tables) + b"rest")
    found = table_bytes.read(reader)
    assert found.digest == tables.digest
    assert reader.left == 4
    assert table_bytes.write(found) == table_bytes.write(tables)


@pytest.mark.parametrize("kind", WRITTEN)
def test_golden_tables_are_still_read_and_written(kind):
    path = GOLDEN / f"{kind}-v1.tables"
    assert path.exists(), f"tables {kind!r} ship without a golden file; run tools/write_entropy_golden.py"
    found = table_bytes.read(Reader(path.read_bytes()))
    assert found.digest == WRITTEN[kind].digest
    assert table_bytes.write(WRITTEN[kind]) == path.read_bytes()


def test_a_golden_file_of_every_way_to_write_tables():
    kinds = {(GOLDEN / f"{name}-v1.tables").read_bytes()[0] & 15 for name in WRITTEN}
    assert kinds == {table_bytes.EXACT, table_bytes.LOGARITHMS, table_bytes.FAMILY, table_bytes.MIXTURE}


@pytest.mark.parametrize("precision", range(12, 19))
def test_tables_of_every_precision_are_written_and_read(precision):
    for tables in (few_tables(precision), Family(count=9, highest=1 << 19, precision=precision).tables):
        found = table_bytes.read(Reader(table_bytes.write(tables)))
        assert (found.precision, found.digest) == (precision, tables.digest)


@pytest.mark.parametrize("kind", WRITTEN)
def test_truncated_and_damaged_tables_are_refused_or_are_tables(kind):
    data = table_bytes.write(WRITTEN[kind])
    for length in range(min(len(data), 300)):
        with pytest.raises(BitstreamError):
            table_bytes.read(Reader(data[:length]), at_most=10_000)
    for at in range(min(len(data), 100)):
        for flip in (1, 64, 255):
            bad = bytearray(data)
            bad[at] ^= flip
            with suppress(BitstreamError, LimitError):
                table_bytes.read(Reader(bytes(bad)), at_most=10_000)


def test_huge_claims_are_refused_before_anything_is_allocated():
    with pytest.raises(LimitError, match="number of tables is 65537"):
        table_bytes.read(Reader(b"\x40" + varint(65_537) + bytes(100)))
    many = Tables.of([bell(50)] * 30)
    with pytest.raises(LimitError, match="1530 symbols, more than the 1000"):
        table_bytes.read(Reader(table_bytes.write(many)), at_most=1000)
    family = bytes([table_bytes.FAMILY | 4 << 4, 1]) + varint(1024) + varint(1 << 27) + varint(1 << 28) + varint(256)
    with pytest.raises(BitstreamError, match="fewer or smaller scales"):
        table_bytes.read(Reader(family))


def test_counts_of_every_size_are_kept():
    tables = from_counts([0], [np.array([2**31, 1, 0, 2**20, 0])])
    assert (tables.row(0)[1] > 0).tolist() == [True, True, False, True, True]
