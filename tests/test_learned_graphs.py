"""The graphs that are built of a model's weights are those of its ONNX files, and its kernels are the slow ones."""

import inspect

import numpy as np
import onnxruntime
import pytest

from midtread.codecs.image import learned_integers as integers
from midtread.codecs.image import learned_model as models
from midtread.codecs.image.learned import place_of
from midtread.codecs.image.learned_gradient import Gradient
from midtread.codecs.image.learned_graphs import Network
from midtread.codecs.image.learned_latents import Quality
from midtread.codecs.image.learned_onnx import Graph
from midtread.codecs.image.learned_runtime import open_run
from midtread.codecs.image.learned_tiles import stages
from midtread.kernels import latents, latents_slow
from pictures import photo_like

CHANNELS = 12


@pytest.fixture(scope="module")
def model():
    return models.load("s")


def from_file(model, name, inputs):
    """What the ONNX file of the model gives."""
    session = onnxruntime.InferenceSession(str(model.folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("quality", [0, 40])
def test_float_graphs_are_those_of_the_files(model, quality):
    """Also where they are not square, so that rows and columns are not mixed up."""
    run, at = open_run(model, "onnxruntime", 1), Quality(model, place_of(quality))
    pixels = {"pixels": photo_like((64, 128, 3))[None], **stages(at, "analysis")}
    y = run("analysis", pixels)
    np.testing.assert_allclose(y, from_file(model, "analysis", pixels), atol=1e-3)
    np.testing.assert_allclose(run("hyper_analysis", {"y": y}), from_file(model, "hyper_analysis", {"y": y}), atol=1e-3)
    latents_in = {"y": y, **stages(at, "synthesis")}
    found, expected = run("synthesis", latents_in), from_file(model, "synthesis", latents_in)
    assert found.dtype == np.uint8
    assert found.shape == (64, 128, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.99
    assert np.ptp(found) > 100


def test_the_gradient_is_that_of_the_file(model):
    run, at, rng = open_run(model, "onnxruntime", 1), Quality(model, place_of(40)), np.random.default_rng(0)
    feeds = {"y": rng.normal(0, 1, (1, 4, 8, 320)).astype(np.float32), **stages(at, "synthesis")}
    feeds |= {"target": rng.uniform(0, 255, (64, 128, 3)).astype(np.float32)}
    feeds |= {"weight": rng.integers(0, 2, (64, 128, 3)).astype(np.float32)}
    for mix in (np.eye(3, dtype=np.float32), np.full((3, 3), 1 / 3, np.float32)):
        found, expected = (run("refine", feeds | {"mix": mix}), from_file(model, "refine", feeds | {"mix": mix}))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_integer_graphs_are_those_of_the_files(model):
    run, rng = open_run(model, "onnxruntime", 1), np.random.default_rng(0)
    known = {"z": rng.integers(-128, 128, (2, 3, 64), dtype=np.int8), "quality_offset": Quality(model, 900).offset}
    features = run("hyper_synthesis", known)
    np.testing.assert_array_equal(features, from_file(model, "hyper_synthesis", known))
    maps = {"a": rng.integers(-128, 128, (8, 12, 96), dtype=np.int8)}
    maps["b"] = rng.integers(-128, 128, (8, 12, 224), dtype=np.int8)
    for group, told in enumerate(("", "a", "a", "ab")):
        inputs = {"features": features, "places": integers.checkerboard(8, 11, 12)[group % 2]}
        inputs |= {name: maps[name] for name in told}
        found = run(f"prior{group}", inputs)
        np.testing.assert_array_equal(found, from_file(model, f"prior{group}", inputs))
        assert len(np.unique(found)) > 100


@pytest.mark.parametrize("name", ["analysis", "hyper_analysis", "synthesis", "hyper_synthesis", "prior3", "refine"])
def test_what_is_written_without_the_onnx_package_is_onnx(model, name):
    onnx = pytest.importorskip("onnx")
    network = Gradient if name == "refine" else Network
    found = onnx.load_from_string(network(name, model.tensors, model.facts["config"]).build())
    onnx.checker.check_model(found)
    assert found.graph.name == name
    assert found.ir_version == 8


def test_every_kind_of_value_survives_the_protocol():
    onnx = pytest.importorskip("onnx")
    graph, weights = Graph("g"), np.arange(6, dtype=np.int8).reshape(2, 3)
    x = graph.node("A", graph.input("x", "uint8", ["n", 3]), graph.constant("w", weights), i=-5, f=0.25, v=[300, -1])
    graph.output("y", graph.node("B", x, "", graph.ints(7, 8), domain="com.microsoft"), "int32", ["n"])
    found = onnx.load_from_string(graph.model())
    assert [(node.op_type, node.domain) for node in found.graph.node][:2] == [("A", ""), ("B", "com.microsoft")]
    assert {a.name: onnx.helper.get_attribute_value(a) for a in found.graph.node[0].attribute} == {
        "i": -5, "f": 0.25, "v": [300, -1],
    }  # fmt: skip
    assert found.graph.node[1].input[1] == ""
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in found.graph.initializer}
    np.testing.assert_array_equal(arrays["w"], weights)
    np.testing.assert_array_equal(arrays["ints (7, 8)"], [7, 8])
    shape = found.graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param, shape[1].dim_value) == ("n", 3)


# kernels


def same(name, *arguments):
    """The result of both twins."""
    fast, slow = getattr(latents, name)(*arguments), getattr(latents_slow, name)(*arguments)
    for a, b in zip(
        fast if isinstance(fast, tuple) else [fast], slow if isinstance(slow, tuple) else [slow], strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    return slow


def test_twins_have_the_same_functions():
    for name in ("predict", "keep", "choose", "pack", "unpack"):
        fast, slow = getattr(latents, name).py_func, getattr(latents_slow, name)
        assert list(inspect.signature(fast).parameters) == list(inspect.signature(slow).parameters)


@pytest.mark.parametrize("octaves", [-14, 0, 3, 14])
def test_predict(octaves):
    rng = np.random.default_rng(octaves + 20)
    log_gain = (octaves * 256 + rng.integers(-200, 200, CHANNELS)).astype(np.int32)
    heads = rng.integers(-1024, 1025, (70, 2 * CHANNELS)).astype(np.int32)
    heads[:, CHANNELS:] //= rng.choice([1, 20, 100], (70, 1))
    _, tables = same("predict", heads, integers.gain(log_gain), log_gain, 84)
    assert {0, 83} <= set(np.unique(tables))


@pytest.mark.parametrize("octaves", [-14, 0, 14])
def test_keep(octaves):
    rng = np.random.default_rng(1)
    gain = integers.gain(octaves * 256 + rng.integers(-200, 200, CHANNELS))
    symbols = (rng.normal(0, 1, (50, CHANNELS)) * 10.0 ** rng.integers(0, 7, (50, 1))).astype(np.int32)
    mean, places = rng.integers(-(2**20), 2**20, symbols.shape).astype(np.int32), rng.permutation(90)[:50]
    found = []
    for twin in (latents, latents_slow):
        decoded, seen = np.full((90, CHANNELS + 5), 7, np.int16), np.full((90, CHANNELS), 7, np.int8)
        twin.keep(symbols, mean, places, 3, gain, decoded, seen)
        found.append((decoded, seen))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    decoded, seen = found[0]
    assert decoded.min() == -(2**15)
    assert decoded.max() == 2**15 - 1
    assert (np.delete(decoded, places, 0) == 7).all()
    assert (seen != 7).any()


@pytest.mark.parametrize("price", [None, 0.0, 0.3, 30.0])
def test_choose(model, price):
    rng = np.random.default_rng(2)
    y = (rng.normal(0, 1, (90, 20)) * 10.0 ** rng.integers(0, 9, (90, 1))).astype(np.float32)
    y[::2] = np.rint(2 * y[::2]) / 2  # halves are rounded to even by both
    places, mean = rng.permutation(90)[:60], rng.integers(-40, 40, (60, CHANNELS)).astype(np.int32)
    mean[::2] //= 16
    tables = rng.integers(0, 84, mean.shape, dtype=np.uint8) * rng.integers(0, 2, mean.shape, dtype=np.uint8)
    prices = None if price is None else np.full(CHANNELS, price, np.float32)
    symbols = same("choose", y, places, 4, mean, tables, model.bits, prices, 2, 2**20)
    assert np.abs(symbols).max() == 2**20
    assert (symbols[tables == 0] != 0).any()
    assert not np.isin(np.abs(symbols[tables == 0]), (1, 2)).any()


def test_prices_move_symbols_towards_zero(model):
    """Where a bit is worth a lot, symbols are never farther from 0 than when each is rounded."""
    y, places = np.random.default_rng(3).normal(0, 2, (40, CHANNELS)).astype(np.float32), np.arange(40)
    mean, tables = np.zeros((40, CHANNELS), np.int32), np.full((40, CHANNELS), 20, np.uint8)
    plain, cheap = (
        same("choose", y, places, 0, mean, tables, model.bits, price, 0, 99)
        for price in (None, np.full(CHANNELS, 0.5, np.float32))
    )
    assert (np.abs(cheap) <= np.abs(plain)).all()
    assert 0.1 < (cheap != plain).mean() < 0.9


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_pack_and_unpack(share):
    rng = np.random.default_rng(4)
    tables = (rng.random((30, CHANNELS)) < share).astype(np.uint8) * 5
    values = rng.integers(-9, 10, tables.shape).astype(np.int32)
    packed = same("pack", values, tables)
    same("pack", tables, tables)
    assert packed.size == np.count_nonzero(tables)
    np.testing.assert_array_equal(same("unpack", packed, tables), np.where(tables > 0, values, 0))
