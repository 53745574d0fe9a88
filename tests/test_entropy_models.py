"""Models: the estimate and the bytes agree, contexts come from what is known, a decoder out of step says so."""

import dataclasses
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from entropy_samples import NAMES as CODER_NAMES
from entropy_samples import noise
from midtread import container
from midtread.container import Chunk, File, Reader, Tag, varint
from midtread.entropy import schedule, table_bytes
from midtread.entropy.coder import open_coder
from midtread.entropy.families import Family
from midtread.entropy.frozen import ORDERS, Contextual, FrozenModel, contexts_of, read_model
from midtread.entropy.loading import expecting
from midtread.entropy.models import TrainableModel, open_model
from midtread.entropy.tables import Tables
from midtread.errors import BitstreamError, LimitError, UnknownNameError, UsageError
from midtread.registry import MODELS

GOLDEN = Path(__file__).parent / "golden" / "entropy"
MODEL_NAMES = ["static", "context", "causal", "parametric", "mixture", "adaptive"]
every_model = pytest.mark.parametrize("name", MODEL_NAMES)
every_order = pytest.mark.parametrize("order", ORDERS)


def golden_planes(shape: tuple[int, int, int] = (2, 20, 31)) -> np.ndarray:
    """int32 [planes, height, width]: noise whose strength changes over the plane, with two outliers."""
    count = int(np.prod(shape))
    strength = 1 + np.arange(count) % shape[2] * 40 // shape[2]
    symbols = (noise(count, 2001) - 1000) * (noise(count, 1000, 8) ** 2 // 1000) * strength // 200_000
    symbols[[7, count // 2]] = 2**31 - 1, -70_000
    return symbols.reshape(shape).astype(np.int32)


def frozen(name: str, planes: np.ndarray, **options) -> FrozenModel:
    model = open_model(name, **options)
    model.observe(planes)
    return model.freeze()


def test_every_registered_model_is_tested_and_bears_its_name():
    assert MODELS.names() == MODEL_NAMES
    assert [MODELS.get(name).name for name in MODEL_NAMES] == MODEL_NAMES


@every_model
def test_only_frozen_models_can_write(name):
    model = open_model(name)
    assert isinstance(model, TrainableModel)
    for verb in ("encode", "decode", "write"):
        assert not hasattr(model, verb)
    ready = frozen(name, golden_planes())
    assert not hasattr(ready, "observe")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ready.tables = None


@every_model
@pytest.mark.parametrize("shape", [(0,), (1,), (700,), (1, 1), (7, 1), (1, 9), (23, 30), (3, 9, 8), (2, 2, 5, 6)])
def test_symbols_of_any_shape_come_back(name, shape):
    symbols = noise(int(np.prod(shape)), 30).reshape(shape) - 12
    ready, coder = frozen(name, symbols), open_coder("rans")
    found = read_model(Reader(ready.write())).decode(ready.encode(symbols, coder), shape, coder)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, symbols)


@pytest.mark.parametrize("coder", CODER_NAMES)
@pytest.mark.parametrize("name", [name for name in MODEL_NAMES if name != "causal"])
def test_any_model_with_any_coder(name, coder):
    planes, way = golden_planes((2, 13, 17)), open_coder(coder)
    ready = frozen(name, planes)
    np.testing.assert_array_equal(ready.decode(ready.encode(planes, way), planes.shape, way), planes)


def test_a_causal_model_names_the_coder_it_needs():
    planes = golden_planes()
    ready = frozen("causal", planes)
    with pytest.raises(UsageError, match="with coder 'rans' only; got 'huffman'"):
        ready.decode(ready.encode(planes, open_coder("huffman")), planes.shape, open_coder("huffman"))


@every_model
def test_real_bits_are_the_estimated_bits(name):
    planes = golden_planes((3, 60, 50))
    model = open_model(name)
    model.observe(planes)
    coded = model.freeze().encode(planes, open_coder("rans"))
    assert abs(8 * len(coded) - model.bits(planes)) <= 0.001 * model.bits(planes) + 8 * 28  # 4 lanes and the digest


@every_order
def test_every_schedule_visits_every_symbol_once(order):
    if order != "causal":
        for shape in ((1, 1, 1), (2, 7, 5), (1, 1, 9), (3, 16, 16)):
            positions = np.concatenate(list(schedule.groups(order, shape)))
            assert np.array_equal(np.sort(positions), np.arange(np.prod(shape)))
    planes = golden_planes()
    ready, coder = frozen("static", planes, order=order), open_coder("rans")
    np.testing.assert_array_equal(ready.decode(ready.encode(planes, coder), planes.shape, coder), planes)


def test_contexts_pay_where_neighbours_are_alike():
    planes = golden_planes((3, 64, 64))
    plain = frozen("static", planes).bits(planes)
    for order in ("checkerboard", "levels", "causal"):
        assert frozen("static", planes, order=order).bits(planes) < 0.99 * plain
    assert frozen("mixture", planes).bits(planes) <= frozen("parametric", planes).bits(planes)


def test_the_slow_and_the_compiled_causal_decoder_agree():
    planes, coder = golden_planes((2, 41, 37)), open_coder("rans")
    ready = frozen("causal", planes)
    coded = ready.encode(planes, coder)
    with expecting(10**6):
        assert ready.encode(planes, coder) == coded
        np.testing.assert_array_equal(ready.decode(coded, planes.shape, coder), planes)
    np.testing.assert_array_equal(ready.decode(coded, planes.shape, coder), planes)


def test_a_decoder_out_of_step_says_so():
    planes, coder = golden_planes(), open_coder("rans")
    ready = frozen("context", planes)
    coded = ready.encode(planes, coder)
    others = [
        dataclasses.replace(ready, tables=Family("laplace").tables),
        dataclasses.replace(ready, order="levels"),
        frozen("context", planes[:, ::-1]),
    ]
    for other in others:
        with pytest.raises(BitstreamError, match=r"out of step|damaged"):
            other.decode(coded, planes.shape, coder)
    tables = Family().tables
    one = Contextual(tables, np.array([9, 10], dtype=np.uint16))
    with pytest.raises(BitstreamError, match="out of step"):
        Contextual(Family(count=63).tables, one.rows).decode(one.encode(planes, coder), planes.shape, coder)


@every_model
def test_truncated_and_damaged_chunks_and_models(name):
    planes, coder = golden_planes((1, 9, 10)), open_coder("rans")
    ready = frozen(name, planes)
    coded, model = ready.encode(planes, coder), ready.write()
    for length in range(len(coded)):
        with pytest.raises((BitstreamError, LimitError)):
            ready.decode(coded[:length], planes.shape, coder)
    for length in range(len(model)):
        with pytest.raises((BitstreamError, LimitError)):
            read_model(Reader(model[:length]))
    for data, read in (
        (coded, lambda b: ready.decode(b, planes.shape, coder)),
        (model, lambda b: read_model(Reader(b))),
    ):
        for at in range(0, len(data), 1 + len(data) // 60):
            bad = bytearray(data)
            bad[at] ^= 255
            with suppress(BitstreamError, LimitError):
                read(bytes(bad))


def test_a_model_of_unknown_kind_is_refused():
    for head in (b"\x02", b"\x00\x05"):
        with pytest.raises(BitstreamError, match="not known to this version"):
            read_model(Reader(head + bytes(50)))


def test_contexts_that_multiply_a_table_beyond_the_limit_are_refused():
    """A hundred bytes must not become 65,536 copies of a table of 65,536 symbols."""
    tables = table_bytes.write(Tables.of([(0, np.append(np.ones(65_535, dtype=int), [1, 2**18 - 65_536]))], 18))
    with pytest.raises(LimitError, match="the tables of all contexts have 4295032832 symbols"):
        read_model(Reader(b"\0\0" + tables + varint(65_536) + bytes(65_536)))


def test_schedules_take_little_memory_beyond_one_group():
    """A thousand planes: positions of a group, 8 bytes a symbol, and little else."""
    tracemalloc.start()
    for name in schedule.NAMES:
        for group in schedule.groups(name, (1000, 32, 32)):
            assert group.size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 8 * 1000 * 32 * 32


def test_a_damaged_file_is_never_decoded_to_other_symbols():
    """What the digest and the coder cannot see, the CRC of the container's chunk does."""
    planes, ready = golden_planes((1, 9, 10)), frozen("static", golden_planes((1, 9, 10)))
    chunk = Chunk(Tag.PAYLOAD, ready.write() + ready.encode(planes, open_coder("rans")))
    data = container.write(File(codec="rans", shape=planes.shape, dtype="int32", chunks=(chunk,)))
    assert container.read(data).chunks[0].data == chunk.data
    for at in range(len(data)):
        for flip in (1, 128, 255):
            bad = bytearray(data)
            bad[at] ^= flip
            with pytest.raises((BitstreamError, LimitError)):
                container.read(bytes(bad))


def golden_schedule(order: str) -> Contextual:
    """A table of a family for each context."""
    rows = np.arange(2, 2 + 2 * contexts_of(order), 2, dtype=np.uint16)
    return Contextual(Family("laplace").tables, rows, order)


@every_order
def test_golden_chunks_of_every_schedule(order):
    path = GOLDEN / f"schedule-{order}-v1.chunk"
    assert path.exists(), f"schedule {order!r} ships without a golden file; run tools/write_entropy_golden.py"
    planes, coder = golden_planes(), open_coder("rans")
    ready = golden_schedule(order)
    np.testing.assert_array_equal(ready.decode(path.read_bytes(), planes.shape, coder), planes)
    assert ready.encode(planes, coder) == path.read_bytes()


@every_model
def test_golden_models_still_decode_and_are_written_again(name):
    path = GOLDEN / f"{name}-v1.model"
    assert path.exists(), f"model {name!r} ships without a golden file; run tools/write_entropy_golden.py {name}"
    planes, coder = golden_planes(), open_coder("rans")
    golden, chunk = path.read_bytes(), path.with_suffix(".chunk").read_bytes()
    ready = read_model(Reader(golden))
    np.testing.assert_array_equal(ready.decode(chunk, planes.shape, coder), planes)
    assert ready.encode(planes, coder) == chunk
    assert ready.write() == golden


def test_names_and_options_are_checked():
    with pytest.raises(UnknownNameError, match="did you mean 'static'"):
        open_model("statik")
    with pytest.raises(UnknownNameError, match="has no option 'familly'; did you mean 'family'"):
        open_model("parametric", familly="laplace")
    with pytest.raises(UnknownNameError, match="unknown family 'laplas'; did you mean 'laplace'"):
        open_model("parametric", family="laplas")
    with pytest.raises(UsageError, match="order='zigzag'"):
        open_model("static", order="zigzag")
    with pytest.raises(UsageError, match="observed nothing"):
        open_model("static").freeze()
