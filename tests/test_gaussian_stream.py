"""Gaussians to bytes: what is told comes back, in files that compiled and slow kernels write alike."""

import dataclasses
import math

import numpy as np
import pytest

from entropy_samples import noise
from midtread.codecs.image import gaussian_stream, gaussian_symbols
from midtread.codecs.image.gaussian_header import LEVELS, MARGIN, QUANTIZERS, Header
from midtread.codecs.image.gaussian_stream import Memory, canonical, decode_layer, encode_layer
from midtread.codecs.image.gaussian_symbols import LARGEST, SIZES, SMALLEST, Symbols
from midtread.container import Reader, varint
from midtread.errors import BitstreamError, CodecError, LimitError, TruncatedError, UsageError
from midtread.kernels import splat_coder_slow, splat_counts, splat_layer, splat_layer_slow
from midtread.kernels.splat_counts import NORM

HEADERS = {
    "colour": Header(200, 300, 3, 150),
    "gray": Header(61, 300, 1, 120, 4),
    "uniform": Header(200, 40, 3, 140, quantizer="uniform", level=9),
    "one pixel": Header(1, 1, 3, 100, 0),
    "both codebooks": Header(90, 90, 3, 0, quantizer="vq", level=7, shape_entries=(64, 5), colour_entries=(4096,)),
    "shapes": Header(90, 90, 1, 100, quantizer="vq", level=12, shape_entries=(1,)),
    "colours": Header(90, 90, 3, 0, quantizer="vq", level=6, colour_entries=(200, 200, 7)),
}
NAMES = [column.name for column in dataclasses.fields(Symbols)]


def floats(n: int, header: Header, seed: int = 1):
    """Gaussians as a fit makes them: xy, factor, colour; neighbours are alike."""
    u = np.stack([noise(n, 2**20, seed + 7 * k) for k in range(8)]) / 2**20
    xy = np.stack([u[0] * (header.width + 12) - 6, u[1] * (header.height + 12) - 6], 1)
    sigma, ratio = np.exp(2.2 * u[2] + 0.5 * u[3]), np.exp(2 * u[3] * u[4])
    angle = xy.sum(1) / 60 + u[5]
    short, long = np.sqrt(ratio) / sigma, 1 / (sigma * np.sqrt(ratio))
    sine, cosine = np.sin(angle), np.cos(angle)
    both, yy = (short**2 - long**2) * sine * cosine, short**2 * sine**2 + long**2 * cosine**2
    c = np.sqrt(yy)
    factor = np.stack([short * long / c, both / c, c], 1)
    colour = (u[6] - 0.4)[:, None] * [1.0, 0.8, 0.5] + 0.2 * (u[5:8].T - 0.5)
    return xy, factor, colour[:, : header.channels]


def some(n: int, header: Header, seed: int = 1) -> Symbols:
    """Symbols of a file."""
    if not header.shape_entries and not header.colour_entries:
        return gaussian_symbols.quantize(*floats(n, header, seed), header)[0]
    symbols = Symbols.zeros(n, header)
    symbols.cells[:] = np.stack([noise(n, side, seed + 3) for side in header.grid], 1)
    if not header.colour_entries:
        symbols.colour[:] = 1 + noise(n * header.channels, 40, seed).reshape(n, header.channels)
    if not header.shape_entries:
        symbols.size[:] = noise(n, SIZES, seed) + SMALLEST
        symbols.ring[:] = noise(n, 3, seed)
    told = gaussian_symbols.counts(symbols, header)
    if not header.shape_entries:
        symbols.turn[:], symbols.part[:] = noise(n, 10**6, 5) % told.turns, noise(n, 10**6, 6) % told.parts
        told = gaussian_symbols.counts(symbols, header)
    symbols.parts_xy[:] = np.stack([noise(n, 10**6, 7) % told.across, noise(n, 10**6, 8) % told.down], 1)
    for rows, entries in ((symbols.shape_rows, header.shape_entries), (symbols.colour_rows, header.colour_entries)):
        for stage, count in enumerate(entries):
            rows[:, stage] = noise(n, count, stage + 1)
    return symbols


def same(one: Symbols, other: Symbols) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


@pytest.fixture(params=[splat_layer, splat_layer_slow], ids=["compiled", "slow"])
def kernel(request, monkeypatch):
    monkeypatch.setattr(gaussian_stream, "pick", lambda name, size: request.param)
    return request.param


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_layers_come_back_as_the_same_sets(header, kernel):
    """In the canonical order, whatever order they were given in, and with what layers before them taught."""
    memory, back = Memory(header), Memory(header)
    for n, seed in ((150, 1), (1, 2), (0, 3), (90, 4)):
        symbols = some(n, header, seed)
        shuffled = symbols[np.argsort(noise(len(symbols), 2**30, 9))]
        data = encode_layer(shuffled, header, memory)
        found = decode_layer(data, header, back, at_most=150)
        same(found, canonical(symbols, header))
    for name, model in memory.models.items():
        np.testing.assert_array_equal(model, back.models[name])
    for name, field in memory.fields.items():
        np.testing.assert_array_equal(field, back.fields[name])


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_twins_write_the_same_bytes(header, monkeypatch):
    files = []
    for twin in (splat_layer, splat_layer_slow):
        monkeypatch.setattr(gaussian_stream, "pick", lambda name, size, twin=twin: twin)
        memory = Memory(header)
        files.append([encode_layer(some(n, header, n), header, memory) for n in (130, 2, 61)])
    assert files[0] == files[1]


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_twins_dequantize_alike(header):
    """But for last bits."""
    symbols = some(130, header)
    told = symbols.columns(), gaussian_symbols.layout_of(header), header.step / NORM
    for fast, slow in zip(splat_layer.dequantize(*told), splat_layer_slow.dequantize(*told), strict=True):
        assert fast.dtype == slow.dtype == np.float32
        np.testing.assert_allclose(fast, slow, rtol=2e-6, atol=2e-6 * np.abs(slow).max())


def test_factors_are_what_the_format_says():
    """Of all symbols that there can be, also where angles and stretches are extreme."""
    level = noise(20_000, LEVELS, 1)
    parts, step, rings = splat_counts.precision(level)
    ring = noise(20_000, 2**20, 2) % (rings + 1)
    turns = splat_counts.turns(ring, step)
    size, part, turn = (
        noise(20_000, SIZES, 3) + SMALLEST,
        noise(20_000, 2**20, 4) % parts,
        noise(20_000, 2**20, 5) % turns,
    )
    turn[::5], turn[1::5] = 0, turns[1::5] - 1
    found = splat_counts.factors(size, part, parts, ring * step, turn, turns)
    z, angle = ring * step / 2**16, (turn + 0.5) / turns * math.pi
    sigma, sine, cosine = 2 ** ((size - 0.5 + (part + 0.5) / parts) / 2), np.sin(angle), np.cos(angle)
    g = np.sqrt(np.exp(z) * sine**2 + np.exp(-z) * cosine**2)
    a, b, c = 1 / (sigma * g), 2 * np.sinh(z) * sine * cosine / (sigma * g), g / sigma
    np.testing.assert_allclose(found[0], a, rtol=1e-6)
    np.testing.assert_allclose(found[2], c, rtol=1e-6)
    assert (np.abs(found[1] - b) <= 1e-5 * np.maximum(a, c)).all()


def test_extreme_symbols_come_back(kernel):
    """The largest and smallest of every column, many in one cell."""
    header = Header(500, 500, 3, 0, 7)
    n = 64
    symbols = Symbols.zeros(n, header)
    symbols.size[:] = np.where(np.arange(n) % 2, SMALLEST, SMALLEST + SIZES - 1)
    symbols.colour[:] = np.array([[LARGEST, -LARGEST, LARGEST], [0, 0, -1], [-1, 0, 0], [0, LARGEST, 0]])[
        np.arange(n) % 4
    ]
    level = gaussian_symbols.levels(symbols.colour)
    assert level.max() == LEVELS - 1
    symbols.ring[:] = gaussian_symbols.precision(level)[2] * (np.arange(n) % 3 > 0)
    told = gaussian_symbols.counts(symbols, header)
    symbols.turn[:], symbols.part[:] = told.turns - 1, told.parts - 1
    told = gaussian_symbols.counts(symbols, header)
    symbols.parts_xy[:] = np.stack([told.across, told.down], 1) - 1
    symbols.cells[:] = np.array([[0, 0], header.grid])[np.arange(n) % 2] - np.arange(n)[:, None] % 2
    same(decode_layer(encode_layer(symbols, header), header), canonical(symbols, header))
    for array in gaussian_symbols.dequantize(symbols, header):
        assert np.isfinite(array).all()


def test_files_begin_with_what_was_learned():
    """Every state is one that decisions can have, no row is longer than its model, and most of them are there."""
    models = Memory(HEADERS["colour"]).models
    assert models.keys() == {*gaussian_stream.MODELS, "shape", "colour"}
    for name in gaussian_stream.MODELS:
        model = models[name]
        assert model.shape == (*gaussian_stream.MODELS[name], 2)
        assert (
            (model[..., 0] >= 256) & (model[..., 0] < 65536 - 256) & (model[..., 1] <= splat_coder_slow.LIMIT)
        ).all()
        assert (model[..., 1] > 0).any(), name


def test_a_file_costs_few_bits():
    """What each Gaussian needs here, and that later layers profit from what earlier ones taught."""
    header = HEADERS["colour"]
    first, second = some(500, header, 1), some(500, header, 2)
    memory = Memory(header)
    sizes = [len(encode_layer(layer, header, memory)) for layer in (first, second)]
    assert sizes[1] < len(encode_layer(second, header)) - 20
    assert 8 * sum(sizes) / (len(first) + len(second)) < 32  # 31.0 when this was written


# ---- quantizing


@pytest.mark.parametrize("name", ["colour", "gray", "uniform"])
def test_symbols_are_near_what_was_quantized(name):
    """Rounding costs each Gaussian as much energy as its colour's step does, whatever its size and colour."""
    header = HEADERS[name]
    xy, factor, colour = floats(400, header)
    symbols, kept = gaussian_symbols.quantize(xy, factor, colour, header)
    told = gaussian_symbols.counts(symbols, header)
    placed, shape, painted = gaussian_symbols.dequantize(symbols, header)
    xy, factor, colour = xy[kept], factor[kept], colour[kept]
    sigma, ratio, angle = gaussian_symbols.axes(factor)
    sigma_hat, ratio_hat, angle_hat = gaussian_symbols.axes(shape)
    step = gaussian_symbols.colour_steps(symbols.size, header)
    assert (np.abs(painted - colour).max(1) <= 1.01 * step * math.sqrt(3)).all()
    assert (np.abs(sigma - sigma_hat) <= 0.501 * math.log(2) / 2 / told.parts + 1e-5).all()
    assert (np.abs(ratio - ratio_hat) <= 0.501 * told.ratio_step / 65536 + 1e-4).all()
    off = np.abs(np.mod(angle - angle_hat + math.pi / 2, math.pi) - math.pi / 2)
    assert (off <= np.where(symbols.ring > 0, 0.501 * math.pi / told.turns + 1e-3, 9)).all()
    cell = 1 << header.cell_log2
    assert (np.abs(placed[:, 0] - xy[:, 0]) <= 0.501 * cell / told.across + 1e-4).all()
    slant = shape[:, 1] / shape[:, 2] * (placed[:, 0] - xy[:, 0])
    inside = np.abs(xy[:, 1] + MARGIN / 2 - header.height / 2) < header.height / 2
    assert (np.abs(placed[:, 1] - xy[:, 1] + slant) <= 0.501 * cell / told.down + 1e-3)[inside].all()


def test_quantizing_what_was_dequantized_changes_little():
    header = HEADERS["colour"]
    symbols = some(300, header)
    again, kept = gaussian_symbols.quantize(*gaussian_symbols.dequantize(symbols, header), header)
    assert kept.all()
    for name in ("size", "colour", "ring", "turn", "part", "cells"):
        assert np.mean(getattr(again, name) != getattr(symbols, name)) < 0.03, name


def test_colours_of_zero_are_left_out_and_too_large_ones_refused():
    header = HEADERS["colour"]
    xy, factor, colour = floats(10, header)
    colour[3] = 0
    symbols, kept = gaussian_symbols.quantize(xy, factor, colour, header)
    assert kept.sum() == len(symbols)
    assert not kept[3]
    with pytest.raises(UsageError, match="steps, more than 65535; raise step_place"):
        gaussian_symbols.quantize(xy, factor, colour * 1e6, header)


def test_levels_are_the_nearest_integer_to_a_logarithm():
    above = splat_counts.ABOVE
    for level, least in enumerate(above.tolist()):
        assert (least - 1) ** 2 < 2 ** (2 * level + 1) < least**2
    squares = np.concatenate([above, above - 1, 2 ** np.arange(LEVELS)])
    expected = [*range(1, LEVELS + 1), *range(LEVELS), *range(LEVELS)]
    assert gaussian_symbols.levels_of(squares).tolist() == expected


def test_no_table_entry_is_near_a_tie():
    """Rounded, they are the same whatever the last bits of a machine's sines and roots are."""
    for name, table in splat_counts.real_tables().items():
        assert (np.abs(table % 1 - 0.5) > 1e-12 * table).all(), name
    waves = splat_coder_slow.UNIT * np.cos(
        np.arange(2 * splat_coder_slow.DIRECTIONS) * np.pi / splat_coder_slow.DIRECTIONS
    )
    assert np.abs(waves % 1 - 0.5).min() > 1e-9


def test_counts_follow_the_formulas():
    """Integer tables are within a few percent of what they stand for."""
    header = HEADERS["colour"]
    symbols = some(400, header)
    told = gaussian_symbols.counts(symbols, header)
    _, factor, _ = gaussian_symbols.dequantize(symbols, header)
    base = 1.671 * 2.0 ** (-gaussian_symbols.levels(symbols.colour) / 2)
    small = 2.0 ** (0.5 * symbols.size) / np.exp(gaussian_symbols.axes(factor)[0])  # counts know the size alone
    for count, axis in ((told.across, 0), (told.down, 2)):
        real = 4 * factor[:, axis] / small * 1.34 / base
        wide = (count > 8) & (count < 4096)
        assert wide.sum() > 50
        assert np.abs(np.log(count / real))[wide].max() < 0.25
    ratio = symbols.ring * told.ratio_step / 65536
    wide = (told.turns > 8) & (told.turns < 4096)
    real = 2 * np.pi * np.sinh(ratio) / (base / 0.893)
    assert np.abs(np.log(told.turns / np.where(wide, real, 1)))[wide].max() < 0.1


# ---- headers and bytes nobody vouches for


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_come_back(header):
    data = header.write()
    reader = Reader(data)
    assert Header.read(reader) == header
    reader.end("header")
    assert len(data) <= 12
    for size in range(len(data)):
        with pytest.raises(TruncatedError):
            Header.read(Reader(data[:size]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "1 to 1048576 pixels"), ({"width": 2**20 + 1}, "1 to 1048576 pixels"),
        ({"channels": 2}, "channels is 2"), ({"step_place": 256}, "step_place is 256"),
        ({"cell_log2": 8}, "cell_log2 is 8"),
        ({"quantizer": "none"}, "quantizer is 'none'"), ({"level": LEVELS}, "level is 35"),
        ({"width": 2**20, "cell_log2": 0}, "raise cell_log2"), ({"shape_entries": (4,)}, "vq needs some"),
        ({"quantizer": "vq"}, "vq needs some"), ({"quantizer": "vq", "colour_entries": (0,)}, "of 1 to 4096 rows"),
        ({"quantizer": "vq", "colour_entries": (2,) * 5}, "up to 4 stages"),
    ],
)  # fmt: skip
def test_headers_that_no_file_can_hold_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(HEADERS["colour"], **change)


@pytest.mark.parametrize("kind", [3, 0x44, 0x80])
def test_kinds_of_a_newer_version_are_refused(kind):
    with pytest.raises(BitstreamError, match="newer version"):
        Header.read(Reader(bytes([kind, 9, 50, 60, 0, 0, 0])))


def test_every_header_of_noise_is_read_or_refused():
    kept = 0
    for seed in range(300):
        try:
            header = Header.read(Reader(noise(12, 256, seed + 1).astype(np.uint8).tobytes()))
        except CodecError:
            continue
        kept += 1
        assert header.quantizer in QUANTIZERS
    assert kept > 10


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cells", -1, "cells of Gaussian"), ("cells", 10**6, "cells of Gaussian"), ("size", 15, "size of Gaussian"),
        ("colour", 0, "has colour 0"), ("colour", LARGEST + 1, "colour of Gaussian"), ("part", 5000, "part of"),
        ("ring", -1, "ring of Gaussian"), ("ring", 10**5, "ring of Gaussian"), ("turn", 5000, "turn of Gaussian"),
        ("parts_xy", 5000, "parts_xy of Gaussian"),
    ],
)  # fmt: skip
def test_symbols_that_no_file_can_hold_are_refused(name, value, message):
    symbols = some(20, HEADERS["colour"])
    getattr(symbols, name)[7] = value
    with pytest.raises(UsageError, match=message):
        encode_layer(symbols, HEADERS["colour"])


def test_a_layer_may_not_have_more_than_allowed(kernel):
    data = encode_layer(some(20, HEADERS["colour"]), HEADERS["colour"])
    n = data[0]
    decode_layer(data, HEADERS["colour"], at_most=n)
    with pytest.raises(LimitError, match=f"Gaussians of a layer is {n}, more than the {n - 1}"):
        decode_layer(data, HEADERS["colour"], at_most=n - 1)


def test_all_layers_together_may_not_have_more_than_fields_can_sum():
    header, memory = HEADERS["colour"], Memory(HEADERS["colour"])
    symbols = some(20, header)
    data = encode_layer(symbols, header)
    memory.left = len(symbols) - 1
    with pytest.raises(UsageError, match="where all layers may have 1048576"):
        encode_layer(symbols, header, memory)
    with pytest.raises(LimitError, match="Gaussians of a layer"):
        decode_layer(data, header, memory)


def test_a_layer_may_not_claim_more_than_its_bytes_can_hold(kernel):
    with pytest.raises(BitstreamError, match="1000000 Gaussians cannot be in a layer of 103 bytes"):
        decode_layer(varint(10**6) + bytes(100), HEADERS["colour"])


def test_every_prefix_and_every_longer_layer_is_refused(kernel):
    header = HEADERS["colour"]
    data = encode_layer(some(12, header), header)
    for size in range(len(data)):
        with pytest.raises(BitstreamError):
            decode_layer(data[:size], header)
    for more in (b"\0", b"\xff", data):
        with pytest.raises(BitstreamError, match="does not end where"):
            decode_layer(data + more, header)


@pytest.mark.parametrize("name", HEADERS)
def test_noise_is_refused_by_both_twins_alike(name, monkeypatch):
    """Whatever the bytes say, symbols stay in range: no kernel looks outside of its arrays, and nothing takes long."""
    header = HEADERS[name]
    for seed in range(25):
        data = bytes([40]) + noise(60, 256, seed + 1).astype(np.uint8).tobytes()
        seen = []
        for twin in (splat_layer, splat_layer_slow):
            monkeypatch.setattr(gaussian_stream, "pick", lambda name, size, twin=twin: twin)
            with pytest.raises(BitstreamError) as caught:
                decode_layer(data, header, at_most=10**6)
            seen.append(str(caught.value))
        assert seen[0] == seen[1]


def test_a_changed_byte_is_noticed(kernel):
    header = HEADERS["colour"]
    data = encode_layer(some(60, header), header)
    missed = 0
    for at in range(1, len(data), 5):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        try:
            decode_layer(bytes(changed), header)
        except BitstreamError:
            continue
        missed += 1
    assert missed <= 2  # 8 bits of end mark and the length; chunks have a checksum besides
