"""Compiled kernels equal their slow twins, to the last integer; the slow twins are the definition."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from entropy_samples import few_tables, noise, some_symbols
from midtread.entropy.families import Family
from midtread.kernels import (
    bits,
    bits_slow,
    cabac,
    cabac_slow,
    causal,
    causal_slow,
    count,
    count_slow,
    huffman,
    huffman_slow,
    range_coder,
    range_coder_slow,
    rans,
    rans_slow,
    scales,
    scales_slow,
)  # fmt: skip

PAIRS = [
    (bits, bits_slow), (cabac, cabac_slow), (causal, causal_slow), (count, count_slow), (huffman, huffman_slow),
    (range_coder, range_coder_slow), (rans, rans_slow), (scales, scales_slow),
]  # fmt: skip


@pytest.mark.parametrize(("fast", "slow"), PAIRS, ids=lambda module: module.__name__.split(".")[-1])
def test_twins_have_the_same_functions(fast, slow):
    for name in ("encode", "decode", "pack", "unpack", "count", "index", "contexts"):
        if hasattr(slow, name):
            assert list(inspect.signature(getattr(fast, name).py_func).parameters) == list(
                inspect.signature(getattr(slow, name)).parameters
            )


@pytest.fixture(scope="module")
def sample():
    tables = few_tables()
    symbols, indices = some_symbols(tables, 3001)
    for array in (symbols, indices, *tables.packed[2:]):
        array.flags.writeable = False
    return tables.packed, symbols, indices


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize(("first", "size"), [(0, 1), (0, 4), (1, 2), (3, 9), (2, 3001), (0, 3000)])
def test_rans(sample, lanes, first, size):
    packed, symbols, indices = sample
    symbols, indices = symbols[:size], indices[:size]
    results = []
    for twin in (rans, rans_slow):
        states, words = np.full(lanes, 1 << 31, dtype=np.uint64), np.zeros(2 * size + 32, dtype=np.uint32)
        q = twin.encode(symbols, indices, packed, first, states, words, words.size - 16)
        results.append((int(q), states.tolist(), words[int(q) :].tolist()))
    assert results[0] == results[1]
    q, coded_states, words = results[0]
    for twin in (rans, rans_slow):
        states, out = np.array(coded_states, dtype=np.uint64), np.zeros(size, dtype=np.int32)
        end = len(words) - 16
        assert twin.decode(out, indices, packed, first, states, np.array(words, dtype=np.uint32), 0, end) == end
        np.testing.assert_array_equal(out, symbols)
        assert (states == 1 << 31).all()


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_rans_state_at_its_bound_moves_a_word_out(sample, lanes):
    """One below f << (63 - p) the state stays whole; at it the next state would be 2**63, which no decoder takes."""
    packed, indices = sample[0], np.full(4, 5, dtype=np.uint8)
    f = int(packed.cumulative[packed.base[5] + 151] - packed.cumulative[packed.base[5] + 150])  # of symbol 0
    for below, moved in ((1, 0), (0, lanes)):
        results = []
        for twin in (rans, rans_slow):
            states = np.full(lanes, (f << 63 - packed.precision) - below, dtype=np.uint64)
            words = np.zeros(40, dtype=np.uint32)
            q = twin.encode(np.zeros(lanes, dtype=np.int32), indices[:lanes], packed, 0, states, words, 24)
            results.append((24 - int(q), states.tolist()))
            assert states.max() < 1 << 63
        assert results[0] == results[1]
        assert results[0][0] == moved


def test_rans_decoders_stop_at_the_end_of_damaged_words(sample):
    packed, _, indices = sample
    words = noise(40, 2**31).astype(np.uint32) * 2 + 1
    words[20:] = 0
    for lanes in (1, 4):
        for twin in (rans, rans_slow):
            states, out = np.full(lanes, 1 << 40, dtype=np.uint64), np.zeros(3001, dtype=np.int32)
            assert twin.decode(out, indices, packed, 0, states, words, 0, 20) in (-1, 20)


def test_range_coder(sample):
    packed, symbols, indices = sample
    results = []
    for twin in (range_coder, range_coder_slow):
        state, words, done = np.array([0, 2**64 - 1], dtype=np.uint64), np.zeros(6100, dtype=np.uint32), 0
        for part in np.split(np.arange(3001), [1, 50]):
            done = int(twin.encode(symbols[part], indices[part], packed, state, words, done))
        results.append((done, state.tolist(), words[:done].tolist()))
    assert results[0] == results[1]
    done, state, words = results[0]
    words = np.array([*words, state[0] >> 32, 1 + (state[0] & 0xFFFFFFFF)], dtype=np.uint32)
    ends = []
    for twin in (range_coder, range_coder_slow):
        now, out = np.array([int(words[0]) << 32 | int(words[1]), 2**64 - 1], dtype=np.uint64), symbols * 0
        ends.append((int(twin.decode(out, indices, packed, now, words, 2)), now.tolist()))
        np.testing.assert_array_equal(out, symbols)
    assert ends[0] == ends[1]


def test_a_range_coders_carry_runs_through_full_words():
    """Symbols at the upper end of the range push low over 2**64 again and again."""
    packed = few_tables().packed
    symbols, indices = np.full(400, 3000, dtype=np.int32), np.full(400, 5, dtype=np.uint8)
    results = []
    for twin in (range_coder, range_coder_slow):
        state, words = np.array([2**64 - 2**20, 2**64 - 1], dtype=np.uint64), np.full(900, 2**32 - 1, dtype=np.uint32)
        words[0] = 5
        done = twin.encode(symbols, indices, packed, state, words, 9)
        results.append((int(done), state.tolist(), words[: int(done)].tolist()))
    assert results[0] == results[1]
    assert results[0][2][:9] == [6] + [0] * 8


def test_cabac(sample):
    _, symbols, indices = sample
    contexts = indices.astype(np.uint16)
    coded = []
    for twin in (cabac, cabac_slow):
        out = np.zeros(80 * symbols.size + 64, dtype=np.uint8)
        coded.append(out[: int(twin.encode(symbols, contexts, 6, out))].tobytes())
    assert coded[0] == coded[1]
    data = np.frombuffer(coded[0], dtype=np.uint8)
    for given, good in ((data, True), (data[:-1], False), (np.append(data, np.uint8(0)), False)):
        for twin in (cabac, cabac_slow):
            out = np.zeros(symbols.size, dtype=np.int32)
            assert bool(twin.decode(out, contexts, 6, given)) is good
            assert not good or np.array_equal(out, symbols)


def test_bits():
    widths = noise(500, 58).astype(np.uint8)
    values = (noise(500, 2**31) << 31 | noise(500, 2**31, 2)).astype(np.uint64)
    packed = []
    for twin in (bits, bits_slow):
        out = np.zeros((int(widths.sum()) + 7) // 8, dtype=np.uint8)
        twin.pack(values, widths, out)
        packed.append(out)
    np.testing.assert_array_equal(packed[0], packed[1])
    data, widths = np.append(packed[0], np.zeros(8, dtype=np.uint8)), np.minimum(widths, 56)
    for start in (0, 3, 8, 21):
        few = widths[: 400 - start]
        found = [np.zeros(few.size, dtype=np.uint64) for _ in range(2)]
        for twin, out in zip((bits, bits_slow), found, strict=True):
            twin.unpack(data, start, few, out)
        np.testing.assert_array_equal(found[0], found[1])


def test_count():
    symbols, indices = (noise(4000, 90) - 40).astype(np.int32), noise(4000, 3).astype(np.uint8)
    symbols[:3] = 2**31 - 1, -(2**31), -41
    for which in (None, indices):
        tables = [np.zeros((3 if which is not None else 1, 31), dtype=np.int64) for _ in range(2)]
        for twin, table in zip((count, count_slow), tables, strict=True):
            twin.count(symbols, which, -20, 30, table)
        np.testing.assert_array_equal(tables[0], tables[1])
        assert tables[0].sum() == 4000


def test_scales():
    family = Family(count=200)
    first, limits = scales_slow.lookup(family.thresholds)
    x = np.concatenate([noise(3000, 2**31), noise(3000, 2**18), family.thresholds, family.thresholds - 1, [0, 1, 2, 3]])
    found = [np.zeros(x.size, dtype=np.uint8) for _ in range(2)]
    for twin, out in zip((scales, scales_slow), found, strict=True):
        twin.index(x.astype(np.int32), first, limits, out)
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (1, 5, 1), (2, 2, 2), (2, 9, 11)])
def test_causal_contexts(shape):
    planes = (noise(int(np.prod(shape)), 2001) - 1000).astype(np.int32).reshape(shape)
    planes.flat[0] = -(2**31)
    found = [np.zeros(shape, dtype=np.uint8) for _ in range(2)]
    for twin, out in zip((causal, causal_slow), found, strict=True):
        twin.contexts(planes, out)
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].flat[0] == 0


def test_kernels_work_where_no_cache_can_be_written():
    """None of the places that numba tries can be used; compiling must go on without."""
    code = """
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []
import numpy as np
from midtread.kernels import count
out = np.zeros((1, 4), dtype=np.int64)
count.count(np.arange(5, dtype=np.int32), None, 0, 3, out)
print(out.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[1, 1, 1, 2]]"
