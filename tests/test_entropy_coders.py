"""Every coder returns what it was given, refuses what it was not, and writes the same bytes everywhere."""

import hashlib
import json
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entropy_samples import NAMES, OURS, bell, few_tables, noise, some_symbols
from midtread.entropy.coder import Coder, open_coder
from midtread.entropy.loading import expecting, kernel
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, LimitError, UnknownNameError, UsageError
from midtread.registry import CODERS

GOLDEN = Path(__file__).parent / "golden" / "entropy"
every_coder = pytest.mark.parametrize("name", NAMES)
with_tables = pytest.mark.parametrize("name", [name for name in NAMES if CODERS.get(name).traits.needs_tables])
incremental = pytest.mark.parametrize("name", [name for name in NAMES if CODERS.get(name).traits.incremental])
INT32 = st.integers(-(2**31), 2**31 - 1)


def test_every_registered_coder_is_tested_and_bears_its_name():
    assert CODERS.names() == NAMES
    for name in NAMES:
        coder = CODERS.get(name)
        assert issubclass(coder, Coder)
        assert coder.name == name


@every_coder
def test_traits_are_true(name):
    """Each is an `if and only if`: a trait that is claimed, or left out, wrongly fails here."""
    tables, coder, traits = few_tables(), open_coder(name), open_coder(name).traits
    symbols, indices = some_symbols(tables, 2000)
    coded = coder.encode(symbols, tables, indices)
    assert (coder.encode(symbols, tables, indices[::-1]) != coded) == traits.contexts
    assert (coder.encode(symbols.reshape(8, 250), tables, indices) != coded) == traits.planes
    rare, often = np.zeros((8, 256), dtype=np.int32), noise(2048, 8).reshape(8, 256)
    rare[:, 5], often[:, 5], often[:, 6] = 7, 7, 0  # the same range in every block
    one = Tables.of([bell(17)])
    assert (len(coder.encode(rare.ravel(), one)) == len(coder.encode(often.ravel(), one))) == traits.fixed_rate
    assert traits.adaptive == (not traits.needs_tables and not traits.fixed_rate)
    with nullcontext() if traits.incremental else pytest.raises(UsageError, match="codes all symbols at once"):
        coder.encoder()
    if not traits.needs_tables:
        assert coder.encode(symbols, None, indices) == coded


def test_a_coder_of_random_access_keeps_each_symbol_in_bits_of_its_own():
    symbols = noise(1000, 16)
    for name in NAMES:
        if open_coder(name).traits.random_access:
            coded = bytearray(open_coder(name).encode(symbols))
            coded[-1] ^= 16
            assert (open_coder(name).decode(bytes(coded), 1000) != symbols).sum() == 1


@with_tables
@pytest.mark.parametrize("precision", range(12, 19))
def test_tables_of_every_precision(name, precision):
    tables, coder = few_tables(precision), open_coder(name)
    symbols, indices = some_symbols(tables, 1500)
    coded = coder.encode(symbols, tables, indices)
    np.testing.assert_array_equal(coder.decode(coded, 1500, tables, indices), symbols)
    if name in ("rans", "range"):
        assert 8 * len(coded) <= 1.001 * tables.bits(symbols, indices) + 64


@every_coder
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_any_symbols_come_back_in_the_order_given(name, data):
    sizes = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=4))
    tables = Tables.of([bell(size, peak=data.draw(st.integers(1, 40))) for size in sizes])
    near = st.integers(-40, 40)
    symbols = np.array(data.draw(st.lists(st.one_of(near, near, near, INT32), max_size=150)), dtype=np.int64)
    indices = noise(symbols.size, len(sizes))
    coder = open_coder(name)
    coded = coder.encode(symbols, tables, indices)
    found = coder.decode(coded, symbols.size, tables, indices)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, symbols)


@every_coder
@pytest.mark.parametrize("size", [1, 2, 65_536])
def test_alphabets_of_one_and_of_all(name, size):
    tables = Tables.of([bell(size, 18, peak=500)], 18)
    symbols = noise(3000, size) - size // 2
    coder = open_coder(name)
    np.testing.assert_array_equal(coder.decode(coder.encode(symbols, tables), 3000, tables), symbols)


@every_coder
@pytest.mark.parametrize("symbols", [[], [0], [-1], [2**31 - 1], [-(2**31)], [7] * 300])
def test_empty_and_constant_streams(name, symbols):
    tables, coder = Tables.of([bell(9)]), open_coder(name)
    coded = coder.encode(np.array(symbols, dtype=np.int64), tables)
    assert coder.decode(coded, len(symbols), tables).tolist() == symbols
    assert symbols or coded == b""


@every_coder
def test_every_truncation_is_refused(name):
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 90)
    coded = coder.encode(symbols, tables, indices)
    for length in range(len(coded)):
        with pytest.raises((BitstreamError, LimitError)):
            coder.decode(coded[:length], 90, tables, indices)


@every_coder
@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0\0", b"\x5a" * 7])
def test_trailing_bytes_are_refused(name, tail):
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 90)
    with pytest.raises((BitstreamError, LimitError)):
        coder.decode(coder.encode(symbols, tables, indices) + tail, 90, tables, indices)


@every_coder
def test_damage_is_blamed_on_the_bytes(name, capfd):
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 60)
    coded = coder.encode(symbols, tables, indices)
    for at in range(0, len(coded), 1 + len(coded) // 150):
        for flip in (1, 128, 255):
            bad = bytearray(coded)
            bad[at] ^= flip
            with suppress(BitstreamError, LimitError):
                assert coder.decode(bytes(bad), 60, tables, indices).size == 60


@pytest.mark.parametrize("name", ["rans", "range", "cabac", "constriction_ans"])
def test_damage_that_moves_the_arithmetic_is_noticed(name):
    """The bits that only choose between equally likely symbols are the container's CRC's affair."""
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 2000)
    coded, missed = coder.encode(symbols, tables, indices), 0
    for at in range(0, len(coded), 1 + len(coded) // 100):
        bad = bytearray(coded)
        bad[at] ^= 255
        with suppress(BitstreamError, LimitError):
            coder.decode(bytes(bad), 2000, tables, indices)
            missed += 1
    assert missed <= 3


@every_coder
@pytest.mark.parametrize("count", [0, 1, 89, 91, 4000])
def test_counts_that_lie_are_refused(name, count):
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 90)
    coded = coder.encode(symbols, tables, indices)
    with pytest.raises((BitstreamError, LimitError)):
        coder.decode(coded, count, tables, np.resize(indices, count))


@every_coder
@pytest.mark.parametrize("other", NAMES)
def test_the_wrong_coder_says_so_or_returns_symbols_of_no_meaning(name, other):
    tables = few_tables()
    symbols, indices = some_symbols(tables, 90)
    coded = open_coder(other).encode(symbols, tables, indices)
    if name != other:
        with suppress(BitstreamError, LimitError):
            assert open_coder(name).decode(coded, 90, tables, indices).size == 90


@every_coder
def test_input_may_be_of_any_shape_order_and_width_and_stays_untouched(name):
    tables, coder = Tables.of([bell(40)]), open_coder(name)
    symbols = (noise(600, 30) - 15).astype(np.int32).reshape(20, 30)
    expected = coder.encode(symbols, tables)
    assert np.array_equal(coder.decode(expected, 600, tables), symbols.ravel())
    for variant in (symbols.astype(np.int8), symbols.astype(">i4"), np.asfortranarray(symbols), symbols[::-1][::-1]):
        kept = variant.copy()
        variant.flags.writeable = False
        assert coder.encode(variant, tables) == expected
        assert np.array_equal(variant, kept)


@every_coder
@pytest.mark.parametrize("symbols", [np.array([0.5]), np.array([2**31]), np.array([2**63], dtype=np.uint64)])
def test_what_is_no_int32_is_refused(name, symbols):
    with pytest.raises(UsageError, match=r"symbols are (integers|int32)"):
        open_coder(name).encode(symbols, Tables.of([bell(9)]))


@with_tables
def test_arguments_that_do_not_fit_together_are_refused(name):
    coder, tables = open_coder(name), few_tables()
    with pytest.raises(UsageError, match="needs frequency tables"):
        coder.encode(np.zeros(3, dtype=np.int32))
    with pytest.raises(UsageError, match="say with `indices`"):
        coder.encode(np.zeros(3, dtype=np.int32), tables)
    with pytest.raises(UsageError, match="3 symbols need 3 integer indices, got 2"):
        coder.encode(np.zeros(3, dtype=np.int32), tables, np.zeros(2, dtype=np.uint8))
    for wrong in (6, -1, 255):
        with pytest.raises(UsageError, match="there are 6 tables"):
            coder.encode(np.zeros(3, dtype=np.int32), tables, np.full(3, wrong))
    closed = Tables.of([(0, [2**15, 0, 2**15, 0])])
    np.testing.assert_array_equal(coder.decode(coder.encode(np.array([0, 2]), closed), 2, closed), [0, 2])
    for outside in (1, 3, -1):
        with pytest.raises(UsageError, match=f"symbol {outside} at index 1 .* has no escape"):
            coder.encode(np.array([0, outside]), closed)


@with_tables
def test_a_symbol_of_frequency_zero_goes_through_the_escape(name):
    tables, coder = Tables.of([(0, [2**15, 0, 2**15 - 1, 1])]), open_coder(name)
    assert coder.decode(coder.encode(np.array([0, 1, 2]), tables), 3, tables).tolist() == [0, 1, 2]


@with_tables
def test_tables_at_the_ends_of_int32(name):
    tables, coder = Tables.of([(-(2**31), [9, 2**16 - 18, 9]), (2**31 - 2, [9, 2**16 - 18, 9])]), open_coder(name)
    symbols = np.array([-(2**31), -(2**31) + 1, 0, 2**31 - 2, 2**31 - 1] * 20)
    indices = noise(100, 2)
    np.testing.assert_array_equal(coder.decode(coder.encode(symbols, tables, indices), 100, tables, indices), symbols)


@with_tables
def test_hundreds_of_tables(name):
    tables = Tables.of([bell(1 + t % 7) for t in range(300)])
    symbols, indices = noise(2000, 9) - 4, noise(2000, 300, 3)
    coder = open_coder(name)
    np.testing.assert_array_equal(coder.decode(coder.encode(symbols, tables, indices), 2000, tables, indices), symbols)


@pytest.mark.parametrize("name", ["rans", "range"])
def test_a_hundred_symbols_cost_at_most_eight_bytes_over_ideal(name):
    tables = few_tables()
    for seed in range(30):
        symbols, indices = some_symbols(tables, 100, seed)
        assert 8 * len(open_coder(name).encode(symbols, tables, indices)) <= tables.bits(symbols, indices) + 64


@incremental
def test_groups_come_back_group_by_group(name):
    """The table of each group is chosen by the group before."""
    tables, coder = few_tables(), open_coder(name)
    groups = [noise(count, 60, count + 1) - 30 for count in (1, 0, 7, 300, 2, 5000)]
    encoder, choice = coder.encoder(), 0
    for group in groups:
        encoder.put(group, tables, np.full(group.size, choice))
        choice = int(np.abs(group).sum()) % 6
    coded = encoder.finish()
    decoder, choice = coder.decoder(coded, sum(group.size for group in groups)), 0
    for group in groups:
        found = decoder.take(group.size, tables, np.full(group.size, choice))
        np.testing.assert_array_equal(found, group)
        choice = int(np.abs(found).sum()) % 6
    decoder.finish()
    with pytest.raises(UsageError, match="has 0 symbols left, asked for 1"):
        decoder.take(1, tables, np.zeros(1, dtype=int))
    with pytest.raises(UsageError, match="were not taken"):
        coder.decoder(coded, 5310).finish()


def test_groups_are_refused_where_a_coder_takes_all_at_once():
    with pytest.raises(UsageError, match="codes all symbols at once"):
        open_coder("huffman").encoder()
    with pytest.raises(UsageError, match="codes all symbols at once"):
        open_coder("huffman").decoder(b"", 0)


def test_one_stream_is_one_group():
    tables = few_tables()
    symbols, indices = some_symbols(tables, 9000)
    for name in ("rans", "range"):
        encoder = open_coder(name).encoder()
        for part in np.split(np.arange(9000), [1, 5, 4097, 8000]):
            encoder.put(symbols[part], tables, indices[part])
        assert encoder.finish() == open_coder(name).encode(symbols, tables, indices)


def test_threads_do_not_change_the_bytes():
    """Three chunks of 2**20 symbols, the last one short."""
    tables = few_tables()
    symbols, indices = (np.resize(part, 2**21 + 12_345) for part in some_symbols(tables, 50_021))
    one, two = open_coder("rans"), open_coder("rans", threads=2)
    coded = one.encode(symbols, tables, indices)
    assert two.encode(symbols, tables, indices) == coded
    for coder in (one, two):
        np.testing.assert_array_equal(coder.decode(coded, symbols.size, tables, indices), symbols)
    decoder = one.decoder(coded, symbols.size)
    for part in np.split(np.arange(symbols.size), [5, 2**20 - 1, 2**20, 2**21 + 1]):
        np.testing.assert_array_equal(decoder.take(part.size, tables, indices[part]), symbols[part])
    decoder.finish()


@pytest.mark.parametrize("name", OURS)
def test_compiled_and_slow_twins_write_the_same_bytes(name):
    """Below and above the length at which kernels are loaded, and where rANS goes from one lane to four."""
    tables, coder = few_tables(), open_coder(name)
    symbols, indices = some_symbols(tables, 6000)
    for count in (1, 565, 600, 6000):
        short = coder.encode(symbols[:count], tables, indices[:count])
        with expecting(10**6):
            assert coder.encode(symbols[:count], tables, indices[:count]) == short
            np.testing.assert_array_equal(coder.decode(short, count, tables, indices[:count]), symbols[:count])


def run_python(code: str) -> str:
    path = [str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path += {path}\n{code}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_short_streams_never_load_numba():
    code = """
import numpy as np
from entropy_samples import OURS, few_tables, some_symbols
from midtread.entropy.coder import open_coder
tables = few_tables()
symbols, indices = (np.resize(part, 99_999) for part in some_symbols(tables, 700))
for name in OURS:
    count = 99_999 if name == "rans" else 2000
    coder = open_coder(name)
    coded = coder.encode(symbols[:count], tables, indices[:count])
    assert (coder.decode(coded, count, tables, indices[:count]) == symbols[:count]).all(), name
print("numba" in sys.modules)
"""
    assert run_python(code) == "False"


def test_a_fresh_process_decodes():
    tables = few_tables()
    symbols, indices = some_symbols(tables, 400)
    streams = {name: open_coder(name).encode(symbols, tables, indices).hex() for name in NAMES}
    code = f"""
from entropy_samples import few_tables, some_symbols
from midtread.entropy.coder import open_coder
tables = few_tables()
symbols, indices = some_symbols(tables, 400)
for name, coded in {streams!r}.items():
    assert (open_coder(name).decode(bytes.fromhex(coded), 400, tables, indices) == symbols).all(), name
print("same")
"""
    assert run_python(code) == "same"


def golden_symbols() -> tuple[Tables, np.ndarray, np.ndarray]:
    tables = few_tables()
    return tables, *some_symbols(tables, 14_000)  # rANS goes from one lane to four above 4096 bytes


@every_coder
def test_golden_streams_decode_and_ours_are_written_again(name):
    path = GOLDEN / f"{name}-v1.bin"
    assert path.exists(), f"coder {name!r} ships without a golden stream; run tools/write_entropy_golden.py {name}"
    tables, symbols, indices = golden_symbols()
    golden, coder = path.read_bytes(), open_coder(name)
    np.testing.assert_array_equal(coder.decode(golden, 14_000, tables, indices), symbols)
    if name in OURS:
        assert coder.encode(symbols, tables, indices) == golden


def test_golden_symbols_are_the_ones_that_were_written():
    known = json.loads((GOLDEN / "symbols.json").read_text())
    tables, symbols, indices = golden_symbols()
    assert tables.digest == known["tables"]
    assert hashlib.sha256(symbols.astype("<i4").tobytes()).hexdigest() == known["symbols"]
    assert hashlib.sha256(indices.tobytes()).hexdigest() == known["indices"]


def test_unknown_coders_and_options_are_named():
    with pytest.raises(UnknownNameError, match="did you mean 'rans'"):
        open_coder("ranz")
    with pytest.raises(UnknownNameError, match="coder 'rans' has no option 'thread'; did you mean 'threads'"):
        open_coder("rans", thread=2)
    with pytest.raises(UsageError, match="threads=0"):
        open_coder("rans", threads=0)
    with pytest.raises(UsageError, match="level=23"):
        open_coder("zstd", level=23)


def test_planes_keep_their_shape_for_the_coders_that_look_at_it():
    y, x = np.mgrid[0:64, 0:90]
    plane = (3 * y + 2 * x + noise(64 * 90, 3).reshape(64, 90)).astype(np.int32)
    for name in ("jpegls", "jpegxl", "png"):
        coder = open_coder(name)
        coded = coder.encode(plane)
        np.testing.assert_array_equal(coder.decode(coded, plane.size), plane.ravel())
        assert len(coded) < len(coder.encode(plane.T.ravel()))


def test_kernel_choice():
    assert kernel("rans", 10, "no such types").__name__.endswith("rans_slow")
