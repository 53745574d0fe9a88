"""floats: every bit of every number comes back, noise does not grow, and foreign bytes are refused in words."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import midtread
from midtread import container
from midtread.codecs.tensor import floats, floats_planes
from midtread.container import Reader, Tag
from midtread.entropy.tables import normalise
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, TruncatedError, UsageError
from midtread.kernels import floats as fast
from midtread.kernels import floats_slow as slow
from midtread.spec import FLOATS, INTEGERS, Limits, dtype_of, open_codec

EVERY_DTYPE = (*FLOATS, *INTEGERS, "bool", "complex64", "complex128")
every_dtype = pytest.mark.parametrize("dtype", EVERY_DTYPE)
KINDS = ["noise", "weights", "walk", "constant", "two values"]


def numbers(kind, count, dtype, seed=0):
    """A vector of `dtype`: any bits at all (NaN with payloads too), or something that compresses."""
    rng, dtype = np.random.default_rng(seed), dtype_of(dtype)
    if kind == "noise" and dtype.name != "bool":
        return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()
    if dtype.kind == "c":
        return numbers(kind, 2 * count, f"f{dtype.itemsize // 2}", seed).view(dtype)
    values = {
        "noise": rng.integers(0, 2, count),
        "weights": rng.standard_normal(count) * (1 if dtype.name in FLOATS else 20),
        "walk": np.cumsum(rng.standard_normal(count)),
        "constant": np.full(count, 7),
        "two values": rng.integers(0, 2, count) * 100,
    }[kind]
    if dtype.kind in "ub":
        values = np.abs(values)
    return np.clip(values, -120, 120).astype(dtype)


def same_bits(x, x_hat):
    return (x.shape, x.dtype) == (x_hat.shape, x_hat.dtype) and x.tobytes() == x_hat.tobytes()


# --- every bit ---


@every_dtype
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 64, 1001])
def test_every_bit_comes_back(dtype, kind, count):
    x = numbers(kind, count, dtype)
    assert same_bits(x, midtread.decode(midtread.encode(x, "floats")))


@every_dtype
def test_every_bit_comes_back_from_several_chunks_of_the_compiled_kernels(dtype, monkeypatch):
    monkeypatch.setattr(floats, "CHUNK_BYTES", 1 << 19)
    parts = [numbers(kind, 150_001, dtype) for kind in KINDS]
    x = np.concatenate(parts)
    data = floats.encode(x)
    assert len(container.read(data).chunks) > 2
    assert same_bits(x, floats.decode(data))


@every_dtype
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1), (2, 3, 4, 5, 6, 7), (1,) * 15], ids=str)
def test_every_shape_comes_back(dtype, shape):
    x = numbers("weights", int(np.prod(shape)), dtype).reshape(shape)
    assert same_bits(x, midtread.decode(midtread.encode(x, "floats")))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_special_values_keep_their_bits(dtype):
    info = np.finfo(dtype)
    values = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, info.max, info.min, info.tiny, info.smallest_subnormal, 1e20]
    with np.errstate(over="ignore"):
        x = np.array(values * 40, dtype)
    bits = x.view(f"u{x.itemsize}")
    bits[::11] |= bits.dtype.type(0x2A)  # payloads of NaN
    bits[1::11] ^= bits.dtype.type(1) << bits.dtype.type(info.nmant - 1)  # quiet to signalling
    bits[1::11] |= bits.dtype.type(3)
    assert same_bits(x, midtread.decode(midtread.encode(x, "floats")))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EVERY_DTYPE), st.binary(max_size=400), st.booleans())
def test_any_bytes_at_all_come_back(dtype, raw, repeated):
    raw = raw * 20 if repeated else raw
    kind = dtype_of(dtype)
    if dtype == "bool":
        x = np.frombuffer(bytes(byte & 1 for byte in raw), bool)
    else:
        x = np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind)
    assert same_bits(x, floats.decode(floats.encode(x)))


def test_views_and_foreign_byte_order_are_the_same_numbers():
    x = numbers("walk", 8 * 9 * 10, "float32").reshape(8, 9, 10)
    expected = floats.encode(x)
    wide = np.zeros((16, 9, 30), np.float32)
    wide[::2, :, ::3] = x
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    for same in (wide[::2, :, ::3], np.asfortranarray(x), x.astype(">f4"), x[::-1][::-1], unaligned):
        assert floats.encode(same) == expected
    before = x.copy()
    x.flags.writeable = False
    assert floats.encode(x) == expected
    np.testing.assert_array_equal(x, before)


def test_the_bytes_do_not_depend_on_threads(monkeypatch):
    monkeypatch.setattr(floats, "CHUNK_BYTES", 1 << 14)
    x = numbers("walk", 60_000, "float32")
    data = floats.encode(x)
    assert floats.encode(x, threads=4) == data
    assert same_bits(x, floats.decode(data, threads=4))


# --- how much it saves ---


@pytest.mark.parametrize(("dtype", "saved"), [("bfloat16", 0.335), ("float32", 0.170), ("float16", 0.155)])
def test_gaussian_weights_save_what_their_exponents_allow(dtype, saved):
    x = np.random.default_rng(0).standard_normal(1 << 20).astype(dtype_of(dtype))
    assert len(floats.encode(x)) <= (1 - saved) * x.nbytes


@every_dtype
def test_noise_grows_by_a_thousandth_at_most(dtype):
    x = numbers("noise", 1 << 17, dtype)
    assert len(floats.encode(x)) <= 1.001 * x.nbytes


def test_a_part_that_looks_like_noise_where_it_is_sampled_costs_no_more_than_noise():
    """A plane is judged by 64 pieces: constant in those, noise between them."""
    values = np.frombuffer(np.random.default_rng(0).bytes(1 << 18), np.uint8).copy()
    for i in range(64):
        values[i * (values.size // 64) :][: values.size // 512] = 5
    assert len(floats.encode(values)) <= 1.001 * values.nbytes
    assert same_bits(values, floats.decode(floats.encode(values)))


def test_smooth_data_take_fewer_bytes_than_shuffled_ones():
    x = numbers("walk", 1 << 16, "float32")
    shuffled = np.random.default_rng(0).permutation(x)
    assert len(floats.encode(x)) < 0.9 * len(floats.encode(shuffled))


# --- against a base ---


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8"])
def test_a_base_makes_it_smaller_and_comes_back(dtype):
    base = numbers("weights", 1 << 15, dtype)
    x = base.copy()
    x[::7] = numbers("weights", x[::7].size, dtype, seed=1)
    alone, against = floats.encode(x), floats.encode(x, base)
    assert len(against) < 0.75 * len(alone)
    assert same_bits(x, floats.decode(against, base))


def test_a_base_of_noise_costs_no_more_than_none():
    x, base = (numbers("weights", 1 << 15, "float32", seed) for seed in (0, 1))
    assert len(floats.encode(x, base)) <= len(floats.encode(x)) + 4
    assert same_bits(x, floats.decode(floats.encode(x, base), base))


def test_a_missing_or_another_base_is_named_by_its_checksum():
    base = numbers("weights", 100, "float32")
    data = floats.encode(base + 1, base)
    checksum = f"{zlib.crc32(base.tobytes()):08x}"
    with pytest.raises(MissingError, match=f"difference to a base of CRC-32 {checksum}; decode it with that array"):
        midtread.decode(data)
    with pytest.raises(MissingError, match=f"CRC-32 {checksum}; the one given has"):
        floats.decode(data, base + 1)
    with pytest.raises(UsageError, match=r"the base is \[99\] of float32, the array is \[100\] of float32"):
        floats.decode(data, base[:99])
    with pytest.raises(UsageError, match="they must agree"):
        floats.encode(base, base.astype(np.float64))


# --- a part of it ---


def test_a_part_is_decoded_without_the_rest(monkeypatch):
    monkeypatch.setattr(floats, "CHUNK_BYTES", 4000)
    x = numbers("walk", 5500, "float32")
    data = bytearray(floats.encode(x))
    _, spans = container.index(data)
    data[spans[-1].body] ^= 1  # the last payload is damaged
    for start, stop in ((0, 0), (0, 1), (999, 1001), (1000, 2000), (17, 4999), (3000, 3000)):
        assert same_bits(x[start:stop], floats.decode_part(bytes(data), start, stop))
    with pytest.raises(BitstreamError, match="payload 5 of 6"):
        floats.decode_part(bytes(data), 4999, 5001)
    for start, stop in ((-1, 3), (3, 2), (0, 5501)):
        with pytest.raises(UsageError, match="holds 5500 values"):
            floats.decode_part(bytes(data), start, stop)
    z = x.view(np.complex64)
    assert same_bits(z[499:1001], floats.decode_part(floats.encode(z), 499, 1001))


# --- damage ---


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_damaged_chunks_are_masked_and_named_and_the_others_are_still_read(dtype, monkeypatch):
    monkeypatch.setattr(floats, "CHUNK_BYTES", 4004)  # 1001 numbers: a complex value may lie in two chunks
    x = numbers("walk", 5500, dtype).reshape(55, 100)
    data = floats.encode(x)
    _, spans = container.index(data)
    whole = floats.decode(data, errors="mask")
    assert same_bits(whole.data, x)
    assert not whole.mask.any()
    damaged = bytearray(data)
    for chunk in (1, 4):
        damaged[spans[1 + chunk].body + 7] ^= 1
    for threads in (1, 3):
        with pytest.warns(UserWarning, match=rf"2 of {len(spans) - 1} payloads of this floats file are masked: 1, 4$"):
            masked = floats.decode(bytes(damaged), errors="mask", threads=threads)
        lost = np.isin(np.arange(x.nbytes // 4) // 1001, [1, 4])
        np.testing.assert_array_equal(masked.mask, lost.reshape(*x.shape, -1).any(axis=-1))
        np.testing.assert_array_equal(masked.data.view(np.float32).reshape(-1)[lost], 0)
        assert same_bits(masked.compressed(), x[~masked.mask])
    with pytest.raises(BitstreamError, match=f"payload 1 of {len(spans) - 1}"):
        floats.decode(bytes(damaged))


def test_of_a_file_that_was_cut_off_the_chunks_before_the_cut_are_read(monkeypatch):
    monkeypatch.setattr(floats, "CHUNK_BYTES", 4000)
    x = numbers("walk", 3500, "float32")
    data = floats.encode(x)
    _, spans = container.index(data)
    for cut in (spans[3].end, spans[3].end + 3, spans[3].start, spans[3].start + 1, len(data) - 1):
        with pytest.warns(UserWarning, match="are masked: .*3"):
            masked = floats.decode(data[:cut], errors="mask")
        first = 3000 if cut == len(data) - 1 else 2000
        np.testing.assert_array_equal(masked.mask, np.arange(x.size) >= first)
        assert same_bits(masked.data[:first], x[:first])
        with pytest.raises(TruncatedError):
            floats.decode(data[:cut])
    with pytest.raises(BitstreamError, match="no parameters"):
        floats.decode(data[: spans[0].end], errors="mask")
    with pytest.raises(BitstreamError, match="do not make"):
        floats.decode(tampered(data, 0, bytes([1, 100, 0])), errors="mask")
    with pytest.raises(BitstreamError, match="do not make the 4 chunks"):
        floats.decode(tampered(data, 0, bytes([1, 0xFF, 0x7F, 0])), errors="mask")
    with pytest.raises(UsageError, match="errors='skip'"):
        floats.decode(data, errors="skip")


# --- what is refused ---


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.zeros(4, np.clongdouble), "complex256; view it as pairs of floats"),
        (np.array([1, "a"], object), "object; Python objects have no fixed size"),
        (np.zeros(4, "datetime64[s]"), "view it as whole numbers"),
        (np.zeros(4, "U3"), "got str"),
        (np.zeros(4, [("a", "f4")]), "got void"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "lose the mask"),
        ([1.0, 2.0], "takes a NumPy array, got list"),
        (np.zeros((1,) * 16, np.float32), "0 to 15 axes"),
    ],
    ids=["complex", "object", "dates", "text", "record", "masked", "list", "rank 16"],
)
def test_arrays_of_something_else_are_refused_with_what_to_do(x, word):
    with pytest.raises(UsageError, match=word):
        midtread.encode(x, "floats")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_that_is_none_is_refused(threads):
    with pytest.raises(UsageError, match="threads="):
        midtread.encode(np.zeros(3), "floats", threads=threads)


def test_bfloat16_without_ml_dtypes_says_what_to_install(monkeypatch):
    data = floats.encode(numbers("weights", 10, "bfloat16"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match="pip install ml_dtypes"):
        midtread.decode(data)


@pytest.mark.parametrize("kind", ["noise", "weights", "walk", "constant"])
def test_every_truncation_and_every_flipped_byte_is_refused(kind):
    data = midtread.encode(numbers(kind, 60, "float32"), "floats")
    for length in range(len(data)):
        with pytest.raises(CodecError):
            midtread.decode(data[:length])
    for place in range(len(data)):
        with pytest.raises(CodecError):
            midtread.decode(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
    with pytest.raises(CodecError, match="more bytes follow"):
        midtread.decode(data + b"\0")


def tampered(data, index, body, **header):
    """The same file with other bytes in one chunk, and right checksums."""
    file = container.read(data)
    chunks = list(file.chunks)
    chunks[index] = container.Chunk(chunks[index].tag, body)
    return container.write(
        container.File(
            header.get("codec", file.codec), header.get("dtype", file.dtype), header.get("shape", file.shape),
            tuple(chunks),
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["weights", "walk", "two values"])
@pytest.mark.parametrize("count", [300, 120_000])
def test_hostile_payloads_with_right_checksums_are_refused_or_give_numbers(kind, count):
    x = numbers(kind, count, "float32")
    data = midtread.encode(x, "floats")
    payload = container.read(data).need(Tag.PAYLOAD)
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(40):
        damaged = bytearray(payload)
        for place in rng.integers(0, min(len(damaged), 80 if trial % 2 else len(damaged)), 2):
            damaged[place] = rng.integers(256)
        if trial % 5 == 4:
            del damaged[int(rng.integers(len(damaged))) :]
        try:
            assert midtread.decode(tampered(data, 1, bytes(damaged))).shape == x.shape
        except (BitstreamError, LimitError):
            refused += 1
    assert refused > 10


def test_headers_and_parameters_that_disagree_are_refused():
    data = midtread.encode(numbers("weights", 300, "float32"), "floats")
    parameters, payload = (chunk.data for chunk in container.read(data).chunks)
    for other, word in [
        (b"", "version"),
        (b"\2" + parameters[1:], "version 2 of the floats codec"),
        (bytes([1, 0, 0]), "chunks of 0"),
        (bytes([1, 7, 0]), "300 numbers in chunks of 7"),
        (parameters + b"\0", "more bytes follow"),
        (parameters[:-1] + b"\2", "base flag"),
    ]:
        with pytest.raises((BitstreamError, LimitError), match=word):
            midtread.decode(tampered(data, 0, other))
    with pytest.raises(BitstreamError, match="made by codec 'zstd'"):
        floats.decode(tampered(data, 0, parameters, codec="zstd"))
    with pytest.raises(BitstreamError, match="do not make the 1 chunks"):
        midtread.decode(tampered(data, 0, parameters, shape=(2**28,)))
    with pytest.raises(LimitError, match="1099511627776 samples"):
        midtread.decode(tampered(data, 0, parameters, shape=(2**40,)))
    with pytest.raises(BitstreamError, match="names none"):
        midtread.decode(tampered(data, 1, b"\3" + payload[1:]))
    for kind in (4, 255):
        with pytest.raises((BitstreamError, LimitError), match=f"kind of residual is {kind}"):
            midtread.decode(tampered(data, 1, bytes([kind]) + payload[1:]))
    for dtype in ("float64", "uint8"):
        with pytest.raises((BitstreamError, LimitError)):
            midtread.decode(tampered(data, 0, parameters, dtype=dtype))


def test_a_small_file_asks_for_no_more_than_the_limits_allow():
    x = np.zeros(5000, np.float32)
    data = floats.encode(x)
    assert len(data) < 100
    with pytest.raises(LimitError, match="5000"):
        floats.decode(data, limits=Limits(max_elements=4999))


@pytest.mark.parametrize("name", ["floats", "zstd"])
def test_limits_of_the_caller_reach_the_codec(name, monkeypatch):
    data, codec = midtread.encode(np.arange(1000, dtype=np.float32), name), open_codec(name)
    with pytest.raises(LimitError, match="1000 = 1000 samples, more than the 999 allowed"):
        codec.decode_within(data, Limits(max_elements=999))
    seen, raised = [], Limits(max_elements=2**40)
    monkeypatch.setattr(
        type(codec), "decode_within", lambda self, data, limits: seen.append(limits) or self.decode(data)
    )
    monkeypatch.setattr(type(codec), "decode", lambda self, data: np.arange(1000, dtype=np.float32))
    midtread.decode(data, limits=raised)
    assert seen == [raised]


def test_info_knows_the_rate_of_a_tensor_and_that_an_empty_one_has_none():
    x = numbers("weights", 300, "float32").reshape(3, 4, 25)
    data = midtread.encode(x, "floats")
    found = midtread.info(data)
    assert (found["codec"], found["shape"], found["dtype"]) == ("floats", [3, 4, 25], "float32")
    assert found["rate_bits_per_value"] == 8 * len(data) / 300
    assert midtread.info(midtread.encode(x[:0], "floats"))["rate_bits_per_value"] is None


@pytest.mark.parametrize(
    ("plane", "word"),
    [
        (bytes([9]), "plane of kind 9"),
        (bytes([2, 250, 9]) + bytes(10), "table of 10 bytes from 250"),
        (bytes([3, 0, 5]) + bytes(6), "table of 6 bytes from 0"),
        (bytes([2, 0, 0]) + container.varint(1 << 14), "frequencies of a plane sum to 16384"),
        (bytes([2, 0, 0, 1, 99]), "coded plane"),
        (bytes([0, 1]), "plane of bytes"),
        (bytes([4, 0, 21]) + bytes(61), "number of other bytes is 21"),
        (bytes([4, 0, 2, 19, 0, 5, 5]), "stands at 20 of a plane of 20"),
    ],
)
def test_a_plane_that_no_encoder_writes_is_refused(plane, word):
    with pytest.raises((BitstreamError, LimitError), match=word):
        floats_planes.decode(Reader(plane), 20)


# --- planes ---


def test_a_long_gap_between_unusual_bytes_is_bridged():
    for places in ([], [0], [65_535], [65_536], [65_537, 65_538], [199_999], [0, 131_072, 199_999]):
        values = np.full(200_000, 9, np.uint8)
        values[places] = 200
        data = b"".join(floats_planes.encode(values))
        assert len(data) < 40
        np.testing.assert_array_equal(floats_planes.decode(Reader(data), values.size), values)


@pytest.mark.parametrize("count", [1, 2, 501, 200_001])
@pytest.mark.parametrize("spread", [0, 1, 5, 40, 256])
def test_a_plane_comes_back_whichever_way_is_cheapest(count, spread):
    rng = np.random.default_rng(count)
    values = (100 + rng.integers(0, max(spread, 1), count) * (rng.random(count) < 0.5)).astype(np.uint8)
    values[rng.random(count) < 0.001] = 7  # far from the rest
    data = b"".join(floats_planes.encode(values))
    reader = Reader(data)
    np.testing.assert_array_equal(floats_planes.decode(reader, count), values)
    reader.end("the plane")
    assert len(data) <= count + 1


def test_each_way_is_taken_where_it_belongs():
    rng = np.random.default_rng(0)
    kinds = {
        floats_planes.CONSTANT: np.full(5000, 3, np.uint8),
        floats_planes.SPARSE: (np.arange(200_000) % 70_001 == 70_000).astype(np.uint8),
        floats_planes.IN_PAIRS: rng.binomial(20, 0.5, 5000).astype(np.uint8),
        floats_planes.BYTES: rng.binomial(255, 0.5, 5000).astype(np.uint8) // 8 * 8,
        floats_planes.RAW: np.frombuffer(rng.bytes(5000), np.uint8),
    }
    for kind, values in kinds.items():
        assert floats_planes.encode(values)[0][0] == kind


# --- twins ---


def bit_vectors():
    for width in (1, 2, 4, 8):
        for count in (0, 1, 2, 7, 2 * fast.BLOCK + 3):
            rng = np.random.default_rng(count)
            yield (np.frombuffer(rng.bytes(width * count), f"u{width}") for _ in range(2))


def both(name, out, *arguments):
    """What both twins write; they must agree."""
    results = [out.copy(), out.copy()]
    for module, result in zip((fast, slow), results, strict=True):
        getattr(module, name)(*arguments, result)
    np.testing.assert_array_equal(*results)
    return results[0]


def test_fast_twins_give_the_same_bits_and_undo_themselves():
    for bits, base in bit_vectors():
        out = np.zeros_like(bits)
        for against in (None, base):
            np.testing.assert_array_equal(both("unrotate", out, both("rotate", out, bits, against), against), bits)
        for signed in (False, True):
            residual = both("difference", out, bits, base, signed)
            np.testing.assert_array_equal(both("undifference", out, residual, base, signed), bits)
            residual = both("previous", out, bits, signed)
            np.testing.assert_array_equal(both("unprevious", out, residual, signed), bits)
        rows = both("split", np.zeros((bits.itemsize, bits.size), np.uint8), bits)
        assert rows.T.tobytes() == bits.astype(bits.dtype.newbyteorder(">")).tobytes()
        np.testing.assert_array_equal(both("merge", out, tuple(rows)), bits)
        for against in (None, base):
            rotated = both("rotate_split", rows, bits, against)
            np.testing.assert_array_equal(both("merge_unrotate", out, tuple(rotated), against), bits)


def test_fast_twins_count_and_pair_the_same():
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 7, 1001):
        values = rng.integers(80, 130, count, dtype=np.uint8)
        np.testing.assert_array_equal(both("count", np.ones(256, np.int64), values).sum(), 256 + count)
        for low in (0, 90, 224):
            symbols = both("pairs", np.zeros((count + 1) // 2, np.int32), values, low)
            np.testing.assert_array_equal(both("unpairs", np.zeros_like(values), symbols, low), values)
        hostile = rng.integers(-(2**31), 2**31, (count + 1) // 2).astype(np.int32)
        both("unpairs", np.zeros_like(values), hostile, 224)


@pytest.mark.parametrize("count", [1, 2 * fast.BLOCK, 4 * fast.BLOCK + 3])
def test_pairs_are_coded_alike_block_by_block_and_at_once(count):
    rng = np.random.default_rng(count)
    values = rng.integers(100, 110, count, dtype=np.uint8)
    values[:: fast.BLOCK - 1] = 3  # outside the window: escapes, also at the borders of blocks
    packed = floats_planes._pair_tables(normalise(np.append(np.ones(32, np.int64), 1), 15)).packed
    for array in packed[2:]:
        array.flags.writeable = False
    coded = []
    for twin in (fast, slow):
        states, words = np.full(4, 1 << 31, np.uint64), np.zeros(2 * count + 40, np.uint32)
        q = int(twin.encode_pairs(values, 90, packed, states, words, words.size - 16))
        coded.append((q, states.tolist(), words[q:].tolist()))
    assert coded[0] == coded[1]
    for twin in (fast, slow):
        out, now = np.zeros(count, np.uint8), states.copy()
        assert twin.decode_pairs(out, 90, packed, now, words, q, words.size - 16) == words.size - 16
        assert (now == 1 << 31).all()
        np.testing.assert_array_equal(out, values)
        assert twin.decode_pairs(out, 90, packed, states.copy(), words, q, q) in (-1, q), "no words are left"


def test_the_order_of_numbers_is_that_of_their_ordered_bits():
    """A difference of 1 stands for neighbours, also across zero; zigzag makes it 2 upwards and 1 downwards."""
    x = np.array([-np.inf, -1.0, -1e-45, 0.0, 1e-45, 1.0, np.inf], np.float32)
    up = np.nextafter(x, np.float32(np.inf))
    residual = np.zeros(x.size, np.uint32)
    slow.difference(up.view(np.uint32), x.view(np.uint32), True, residual)
    np.testing.assert_array_equal(residual, [2, 2, 2, 2, 2, 2, 0])  # -0 follows -1e-45, then +0
