"""The networks of a frozen model as ONNX graphs; their weights stay where they are, in the model's safetensors file.

Float graphs (analysis, hyper_analysis, synthesis) are channels-first, as convolutions want it. Integer graphs
(hyper_synthesis, prior0 ... prior3) are rows of channels, so that a 1x1 convolution is one `MatMulInteger`: uint8 times
int8 into int32, four times as fast as float32 and exact. What follows it, floor(sum * 2**-shift + offset) in float32,
is exact as long as the sum stays below 2**24, which `frozen.integers` has shown.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET = 17
WEIGHTS = "model.safetensors"
_KINDS = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "I8": TensorProto.INT8, "I32": TensorProto.INT32}


class Graph:
    """A graph under construction: `node` adds one and returns the name of its output."""

    def __init__(self, name: str, header: dict[str, Any], data_start: int, tensors: dict[str, np.ndarray]) -> None:
        self.name, self.header, self.data_start, self.tensors = name, header, data_start, tensors
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output."""
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def input(self, name: str, kind: int, shape: list[int | str]) -> str:
        """Declare an input; strings in `shape` are sizes that vary."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, source: str, kind: int, shape: list[int | str]) -> None:
        """Declare `source` as the output `name`."""
        self.nodes.append(helper.make_node("Identity", [source], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def constant(self, *values: float, kind: int = TensorProto.INT64) -> str:
        """A small vector inside the graph."""
        name = f"c{kind}_" + "_".join(str(value).replace("-", "m") for value in values)
        self.initializers.setdefault(name, helper.make_tensor(name, kind, [len(values)], list(values)))
        return name

    def scalar(self, value: float, kind: int = TensorProto.FLOAT) -> str:
        """A number inside the graph."""
        name = f"s{kind}_{value}".replace("-", "m")
        self.initializers.setdefault(name, helper.make_tensor(name, kind, [], [value]))
        return name

    def vector(self, name: str, values: np.ndarray) -> str:
        """A float32 vector inside the graph; every value must be one exactly."""
        exact = values.astype(np.float32)
        assert (exact == values).all(), f"{name} does not fit float32"
        self.initializers.setdefault(name, helper.make_tensor(name, TensorProto.FLOAT, [exact.size], exact.tolist()))
        return name

    def weight(self, name: str) -> str:
        """A tensor of the safetensors file; float16 ones are used as float32."""
        entry = self.header[name]
        if name not in self.initializers:
            tensor = TensorProto(name=name, data_type=_KINDS[entry["dtype"]], dims=entry["shape"])
            tensor.data_location = TensorProto.EXTERNAL
            start, stop = entry["data_offsets"]
            for key, value in (("location", WEIGHTS), ("offset", self.data_start + start), ("length", stop - start)):
                tensor.external_data.add(key=key, value=str(value))
            self.initializers[name] = tensor
        return self.node("Cast", name, to=TensorProto.FLOAT) if entry["dtype"] == "F16" else name

    def write(self, folder: Path) -> None:
        """Check and write `<folder>/<name>.onnx`."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="midtread")
        model.ir_version = 8
        path = folder / f"{self.name}.onnx"
        path.write_bytes(model.SerializeToString())
        onnx.checker.check_model(str(path))


def conv(g: Graph, x: str, name: str, bias: bool = True, **attributes: Any) -> str:
    """A convolution with the weights `name`."""
    inputs = [x, g.weight(f"{name}.weight"), *([g.weight(f"{name}.bias")] if bias else [])]
    return g.node("Conv", *inputs, **attributes)


def silu(g: Graph, x: str) -> str:
    """X * sigmoid(x)."""
    return g.node("Mul", x, g.node("Sigmoid", x))


def _stage(g: Graph, x: str, name: str, blocks: int, width: int) -> str:
    """Scale, offset, residual blocks."""
    size: list[int | str] = [1, width, 1, 1]
    x = g.node("Mul", x, g.input(f"{name}.scale", TensorProto.FLOAT, size))
    x = g.node("Add", x, g.input(f"{name}.offset", TensorProto.FLOAT, size))
    for block in range(blocks):
        prefix = f"{g.name}.{name}.blocks.{block}"
        inner = conv(g, x, f"{prefix}.depthwise", group=width, pads=[1, 1, 1, 1])
        x = g.node("Add", x, conv(g, silu(g, conv(g, inner, f"{prefix}.expand")), f"{prefix}.mix"))
    return x


def analysis(g: Graph, config: Any) -> None:
    """Pixels uint8 [1, h, w, 3], sides multiples of 16 -> y float32 [1, h / 16, w / 16, width16]."""
    x = g.input("pixels", TensorProto.UINT8, [1, "h", "w", 3])
    x = g.node("Transpose", g.node("Cast", x, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = conv(g, x, "analysis.first", bias=False, strides=[8, 8])
    x = _stage(g, x, "stage8", config.blocks8, config.width8)
    x = conv(g, x, "analysis.down", strides=[2, 2])
    x = _stage(g, x, "stage16", config.blocks16, config.width16)
    g.output("y", g.node("Transpose", x, perm=[0, 2, 3, 1]), TensorProto.FLOAT, [1, "h16", "w16", config.width16])


def hyper_analysis(g: Graph, config: Any) -> None:
    """Y float32 [1, h, w, width16], sides multiples of 4 -> z float32 [1, h / 4, w / 4, hyper]."""
    x = g.node("Transpose", g.input("y", TensorProto.FLOAT, [1, "h", "w", config.width16]), perm=[0, 3, 1, 2])
    x = silu(g, conv(g, x, "hyper_analysis.first"))
    x = silu(g, conv(g, x, "hyper_analysis.depthwise", group=config.hyper_width, pads=[1, 1, 1, 1]))
    x = silu(g, conv(g, x, "hyper_analysis.down", strides=[2, 2]))
    x = conv(g, x, "hyper_analysis.last", strides=[2, 2])
    g.output("z", g.node("Transpose", x, perm=[0, 2, 3, 1]), TensorProto.FLOAT, [1, "h4", "w4", config.hyper])


def synthesis(g: Graph, config: Any) -> None:
    """Y float32 [1, h, w, width16] -> pixels uint8 [16 h, 16 w, 3]."""
    x = g.node("Transpose", g.input("y", TensorProto.FLOAT, [1, "h", "w", config.width16]), perm=[0, 3, 1, 2])
    x = _stage(g, x, "stage16", config.blocks16, config.width16)
    x = _rows_shuffled(g, x, "synthesis.up", config.width8, 2)
    x = g.node("Transpose", x, perm=[0, 3, 1, 2])
    x = _stage(g, x, "stage8", config.blocks8, config.width8)
    x = _rows_shuffled(g, x, "synthesis.last", 3, 8, pixels=True)  # in grey levels
    x = g.node("Squeeze", x, g.constant(0))
    g.output("pixels", x, TensorProto.UINT8, ["h16", "w16", 3])


def _rows_shuffled(g: Graph, x: str, name: str, width: int, by: int, pixels: bool = False) -> str:
    """A 1x1 convolution and its pixel shuffle: [1, c, h, w] -> [1, by h, by w, width], whole rows moved at once.

    The weights' outputs, channel by channel in the file, are put neighbour by neighbour: that is folded when the graph
    is loaded.
    """
    weight = g.node("Reshape", g.weight(f"{name}.weight"), g.constant(width, by * by, -1))
    weight = g.node("Reshape", g.node("Transpose", weight, perm=[2, 1, 0]), g.constant(0, by * by * width))
    bias = g.node("Transpose", g.node("Reshape", g.weight(f"{name}.bias"), g.constant(width, by * by)), perm=[1, 0])
    x = g.node("MatMul", g.node("Transpose", x, perm=[0, 2, 3, 1]), weight)
    x = g.node("Add", x, g.node("Reshape", bias, g.constant(-1)))
    if pixels:
        x = g.node("QuantizeLinear", x, g.scalar(1.0), g.scalar(0, TensorProto.UINT8))  # rounds, and clips to 0 ... 255
    sides = g.node("Slice", g.node("Shape", x), g.constant(1), g.constant(3))
    x = g.node("Reshape", x, g.node("Concat", sides, g.constant(by, by * width), axis=0))
    x = g.node("Transpose", x, perm=[0, 2, 1, 3])
    sides = g.node("Mul", sides, g.constant(by))
    return g.node("Reshape", x, g.node("Concat", g.constant(1), sides, g.constant(width), axis=0))


def _rescale(g: Graph, x: str, name: str, low: float, high: float, add: np.ndarray | float = 0.0) -> str:
    """floor(x * unit + offset) + add, clipped: integers in float32, channels last."""
    if np.any(add):
        offset = g.vector(f"{name}.offset_here", g.tensors[f"{name}.offset"] + add)
    else:
        offset = g.weight(f"{name}.offset")
    x = g.node("Floor", g.node("Add", g.node("Mul", x, g.weight(f"{name}.unit")), offset))
    return g.node("Clip", x, g.scalar(low), g.scalar(high))


def _linear(g: Graph, x: str, name: str, low: float, high: float, signed: slice | None = None) -> str:
    """A 1x1 integer layer of uint8 rows -> integers in float32. Inputs `signed` have 128 added."""
    add: np.ndarray | float = 0.0
    if signed is not None:
        weight = g.tensors[f"{name}.weight"][signed].astype(np.float64)
        add = -128 * weight.sum(0) * g.tensors[f"{name}.unit"]
    x = g.node("MatMulInteger", x, g.weight(f"{name}.weight"))
    return _rescale(g, g.node("Cast", x, to=TensorProto.FLOAT), name, low, high, add)


def _depthwise(g: Graph, x: str, name: str, width: int, low: float, high: float, add: float = 0.0) -> str:
    """A 3x3 integer layer of maps [h, w, width], integers in float32 -> the same."""
    x = g.node("Unsqueeze", g.node("Transpose", x, perm=[2, 0, 1]), g.constant(0))
    x = g.node("Conv", x, g.weight(f"{name}.weight"), group=width, pads=[1, 1, 1, 1])
    x = g.node("Transpose", g.node("Squeeze", x, g.constant(0)), perm=[1, 2, 0])
    return _rescale(g, x, name, low, high, add)


def _bytes(g: Graph, x: str) -> str:
    return g.node("Cast", x, to=TensorProto.UINT8)


def _float(g: Graph, x: str) -> str:
    return g.node("Cast", x, to=TensorProto.FLOAT)


def _signed_bytes(g: Graph, x: str) -> str:
    """Integers -128 to 127 in float32 as uint8, 128 added: products of uint8 and int8 are four times as fast."""
    return _bytes(g, g.node("Add", x, g.scalar(128.0)))


def _shuffle(g: Graph, x: str, width: int) -> str:
    """[h, w, 4 * width], rows of four neighbours -> [2 h, 2 w, width]."""
    sides = g.node("Slice", g.node("Shape", x), g.constant(0), g.constant(2))
    x = g.node("Reshape", x, g.node("Concat", sides, g.constant(2, 2, width), axis=0))
    x = g.node("Transpose", x, perm=[0, 2, 1, 3, 4])
    return g.node("Reshape", x, g.node("Concat", g.node("Mul", sides, g.constant(2)), g.constant(width), axis=0))


def hyper_synthesis(g: Graph, config: Any) -> None:
    """Z int8 [h, w, hyper], quality_offset float32 [features] -> features int8 [4 h, 4 w, features], 0 to 127."""
    z = _float(g, g.input("z", TensorProto.INT8, ["h", "w", config.hyper]))
    name, wide = "hyper_synthesis", config.hyper_width
    x = _linear(g, _signed_bytes(g, z), f"{name}.first", 0.0, 127.0, slice(None))
    x = _depthwise(g, _shuffle(g, x, wide), f"{name}.depthwise32", wide, 0.0, 127.0)
    x = _linear(g, _bytes(g, x), f"{name}.up", 0.0, 127.0)
    x = _depthwise(g, _shuffle(g, x, config.features), f"{name}.depthwise16", config.features, -128.0, 127.0)
    x = g.node("Add", x, g.input("quality_offset", TensorProto.FLOAT, [config.features]))
    x = g.node("Cast", g.node("Clip", x, g.scalar(0.0), g.scalar(127.0)), to=TensorProto.INT8)
    g.output("features", x, TensorProto.INT8, ["h4", "w4", config.features])


def _rows(g: Graph, x: str, width: int, places: str) -> str:
    """Rows `places` of a map [h, w, width]."""
    return g.node("Gather", g.node("Reshape", x, g.constant(-1, width)), places, axis=0)


def prior(g: Graph, config: Any, group: int) -> None:
    """Features int8 [h, w, features], places int64 [n], known latents int8 -> means and scales int32 [n, 2 * slice]."""
    a, b = config.slice_a, config.width16 - config.slice_a
    features = g.input("features", TensorProto.INT8, ["h", "w", config.features])
    places = g.input("places", TensorProto.INT64, ["n"])
    known = [_bytes(g, _rows(g, features, config.features, places))]
    if group:
        map_a = _float(g, g.input("a", TensorProto.INT8, ["h", "w", a]))
        near = _depthwise(g, map_a, "near_a_odd" if group == 1 else "near_a", a, 0.0, 255.0, add=128.0)
        if group > 1:
            known.append(_rows(g, _signed_bytes(g, map_a), a, places))
        known.append(_rows(g, _bytes(g, near), a, places))
    if group == 3:
        map_b = _float(g, g.input("b", TensorProto.INT8, ["h", "w", b]))
        near = _depthwise(g, map_b, "near_b", b, 0.0, 255.0, add=128.0)
        known.append(_rows(g, _bytes(g, near), b, places))
    x = g.node("Concat", *known, axis=1) if len(known) > 1 else known[0]
    signed = slice(config.features, None) if group else None
    x = _linear(g, x, f"priors.{group}.first", 0.0, 127.0, signed)
    x = _linear(g, _bytes(g, x), f"priors.{group}.heads", -1024.0, 1024.0)
    g.output("heads", g.node("Cast", x, to=TensorProto.INT32), TensorProto.INT32, ["n", 2 * (a if group < 2 else b)])


def write_all(
    folder: Path, tensors: dict[str, np.ndarray], config: Any, **further: Callable[[Graph, Any], None]
) -> None:
    """All graphs of the model whose weights are in `folder`; tensors: what the file holds; further: more, by name."""
    with (folder / WEIGHTS).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    builders = {build.__name__: build for build in (analysis, hyper_analysis, synthesis, hyper_synthesis)}
    builders |= {f"prior{group}": functools.partial(prior, group=group) for group in range(4)}
    for name, build in (builders | further).items():
        graph = Graph(name, header, 8 + length, tensors)
        build(graph, config)
        graph.write(folder)
