"""The networks of a frozen model as onnxruntime likes them best; `learned_runtime` opens them, weights and all.

The same networks as the ONNX files beside the weights, which are for everybody: equal integers (the tests compare both
with `learned_slow`), and floats that differ in the last bits. Faster, because

    integers   what follows a product stays in its kernel (MatMulIntegerToFloat); a 3x3 layer is one convolution with
               scaled weights; where nothing below 0 is left, taking whole bytes rounds down
    floats     a stage begins with a convolution that changes nothing: from there on onnxruntime keeps its own layout,
               and adds what the blocks give inside their last convolution
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.codecs.image.learned_onnx import MICROSOFT, Graph
from midtread.errors import BitstreamError

_DTYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}  # of a Cast, as ONNX numbers them
_HEAD = 1024  # heads lie between -_HEAD and _HEAD
_NEAR = {1: ("near_a_odd",), 2: ("near_a",), 3: ("near_a", "near_b")}  # what each prior sees around its squares


class Network:
    """One graph, and the weights it takes from a model.

    Args:
        name: of the graph.
        tensors: of the model, by name.
        config: widths and depths, by the names of `nn.image.ImageConfig`.
    """

    def __init__(self, name: str, tensors: dict[str, np.ndarray], config: dict[str, int]) -> None:
        self.name, self.graph, self.config, self._tensors = name, Graph(name), config, tensors
        self._vectors: dict[str, list[str]] = {}

    def build(self) -> bytes:
        """The ONNX file. Raises BitstreamError: the model lacks a tensor or a width, or one is not as it should be."""
        try:
            if self.name.startswith("prior"):
                self.prior(int(self.name.removeprefix("prior")))
            else:
                getattr(self, self.name)()
        except (ValueError, IndexError, TypeError) as error:
            raise BitstreamError(f"a weight of the graph {self.name!r} has another shape: {error}") from error
        except KeyError as error:
            raise BitstreamError(f"the config of this learned model lacks {error}: freeze it again") from error
        return self.graph.model()

    def analysis(self) -> None:
        """Pixels uint8 [1, h, w, 3], sides multiples of 16 -> y float32 [1, h / 16, w / 16, width16]."""
        g, c = self.graph, self.config
        x = self._cast(self._first(g.input("pixels", "uint8", [1, "h", "w", 3])), "float32")
        x = self._conv(x, "analysis.first", strides=[8, 8])
        x = self._stage(x, "stage8", c["blocks8"])
        x = self._conv(x, "analysis.down", strides=[2, 2])
        x = self._stage(x, "stage16", c["blocks16"])
        g.output("y", self._last(x), "float32", [1, "h16", "w16", c["width16"]])

    def hyper_analysis(self) -> None:
        """Y float32 [1, h, w, width16], sides multiples of 4 -> z float32 [1, h / 4, w / 4, hyper]."""
        g, c = self.graph, self.config
        x = self._first(g.input("y", "float32", [1, "h", "w", c["width16"]]))
        x = self._silu(self._conv(x, "hyper_analysis.first"))
        x = self._silu(self._conv(x, "hyper_analysis.depthwise", group=c["hyper_width"], pads=[1, 1, 1, 1]))
        x = self._silu(self._conv(x, "hyper_analysis.down", strides=[2, 2]))
        x = self._conv(x, "hyper_analysis.last", strides=[2, 2])
        g.output("z", self._last(x), "float32", [1, "h4", "w4", c["hyper"]])

    def synthesis(self) -> None:
        """Y float32 [1, h, w, width16] -> pixels uint8 [1, 2 h, 2 w, 192]: 8 x 8 each, row by row, colours last."""
        g, c = self.graph, self.config
        x = self._first(g.input("y", "float32", [1, "h", "w", c["width16"]]))
        x = self._stage(x, "stage16", c["blocks16"])
        x = self._last(self._by_neighbour(x, "synthesis.up", c["width8"], 2))
        x = g.node("Unsqueeze", self._shuffle(g.node("Squeeze", x, g.ints(0)), c["width8"]), g.ints(0))
        x = self._stage(self._first(x), "stage8", c["blocks8"])
        x = self._clip(self._by_neighbour(x, "synthesis.last", 3, 8, add=0.5), 0.0, 255.5)  # grey levels, and a half
        g.output("pixels", self._cast(self._last(x), "uint8"), "uint8", [1, "h8", "w8", 192])

    def hyper_synthesis(self) -> None:
        """Z int8 [h, w, hyper], quality_offset float32 [features] -> features int8 [4 h, 4 w, features], 0 to 127."""
        g, c, name = self.graph, self.config, "hyper_synthesis"
        z = self._cast(g.input("z", "int8", ["h", "w", c["hyper"]]), "float32")
        x = self._bytes(self._linear(self._unsigned(z), f"{name}.first", slice(None)), 127.0)
        x = self._cast(self._shuffle(x, c["hyper_width"]), "float32")
        x = self._cast(self._depthwise(x, f"{name}.depthwise32", (0.0, 127.0)), "uint8")
        x = self._bytes(self._linear(x, f"{name}.up"), 127.0)
        x = self._cast(self._shuffle(x, c["features"]), "float32")
        x = self._depthwise(x, f"{name}.depthwise16", (-128.0, 127.0))
        x = self._clip(g.node("Add", x, g.input("quality_offset", "float32", [c["features"]])), 0.0, 127.0)
        g.output("features", self._cast(x, "int8"), "int8", ["h4", "w4", c["features"]])

    def prior(self, group: int) -> None:
        """Features int8 [h, w, features], places int64 [n], known latents int8 -> heads int32 [n, 2 * slice]."""
        g, c = self.graph, self.config
        widths = {"a": c["slice_a"], "b": c["width16"] - c["slice_a"]}
        features = g.input("features", "int8", ["h", "w", c["features"]])
        places = g.input("places", "int64", ["n"])
        known = [self._cast(self._rows(features, c["features"], places), "uint8")]
        for near in _NEAR.get(group, ()):
            key = near[5]
            map_ = g.input(key, "int8", ["h", "w", widths[key]])
            if near == "near_a":
                rows = self._rows(map_, widths[key], places)
                known.append(self._unsigned(self._cast(rows, "float32")))
            around = self._cast(self._depthwise(self._cast(map_, "float32"), near, (0.0, 255.0), 128.0), "uint8")
            known.append(self._rows(around, widths[key], places))
        x = g.node("Concat", *known, axis=1) if len(known) > 1 else known[0]
        x = self._linear(x, f"priors.{group}.first", slice(c["features"], None) if group else None)
        x = self._linear(self._bytes(x, 127.0), f"priors.{group}.heads", add=_HEAD)  # at most 13 bits behind the point
        x = g.node("Sub", self._cast(self._clip(x, 0.0, 2.0 * _HEAD), "int32"), g.scalar(_HEAD, "int32"))
        g.output("heads", x, "int32", ["n", 2 * widths["a" if group < 2 else "b"]])

    def _tensor(self, name: str) -> np.ndarray:
        """Float16 as float32."""
        if name not in self._tensors:
            raise BitstreamError(f"this learned model lacks the tensor {name!r}: freeze it again")
        found = self._tensors[name]
        if found.dtype.name not in ("float16", "float32", "int8"):
            raise BitstreamError(f"the tensor {name!r} of this learned model is {found.dtype}: freeze it again")
        return found.astype(np.float32) if found.dtype == np.float16 else found

    # floats, channels first

    def _first(self, x: str) -> str:
        return self.graph.node("Transpose", x, perm=[0, 3, 1, 2])

    def _last(self, x: str) -> str:
        return self.graph.node("Transpose", x, perm=[0, 2, 3, 1])

    def _silu(self, x: str) -> str:
        return self.graph.node("Mul", x, self.graph.node("Sigmoid", x))

    def _conv(self, x: str, name: str, **attributes: Any) -> str:
        g, parts = self.graph, [f"{name}.weight"]
        if name != "analysis.first":  # it has no bias
            parts.append(f"{name}.bias")
        values = [self._tensor(part) for part in parts]
        _check_outputs(name, values)
        return g.node("Conv", x, *(g.constant(*pair) for pair in zip(parts, values, strict=True)), **attributes)

    def _given(self, network: str, stage: str) -> list[str]:
        """Scale and offset of a stage, which come with each call, as vectors."""
        if stage not in self._vectors:
            g, width = self.graph, self._tensor(f"{network}.{stage}.scale").shape[1]  # of the anchors
            given = [g.input(f"{stage}.{kind}", "float32", [1, width, 1, 1]) for kind in ("scale", "offset")]
            self._vectors[stage] = [g.node("Reshape", vector, g.ints(width)) for vector in given]
        return self._vectors[stage]

    def _same(self, x: str, width: int) -> str:
        """A convolution that changes nothing: behind it onnxruntime keeps its own layout."""
        ones = np.ones((width, 1, 1, 1), np.float32)
        return self.graph.node("Conv", x, self.graph.constant(f"same{width}", ones), group=width)

    def _enter(self, x: str, network: str, stage: str) -> str:
        """Scale and offset as the normalisation of what has mean 0 and variance 1."""
        g, width = self.graph, self._tensor(f"{network}.{stage}.scale").shape[1]
        mean, variance = np.zeros(width, np.float32), np.ones(width, np.float32)
        usual = g.constant(f"mean{width}", mean), g.constant(f"variance{width}", variance)
        x = g.node("BatchNormalization", x, *self._given(network, stage), *usual, epsilon=0.0)
        return self._same(x, width)

    def _expanded(self, x: str, prefix: str) -> str:
        """The first half of a block."""
        width = len(self._tensor(f"{prefix}.depthwise.weight"))
        return self._conv(self._conv(x, f"{prefix}.depthwise", group=width, pads=[1, 1, 1, 1]), f"{prefix}.expand")

    def _stage(self, x: str, stage: str, blocks: int) -> str:
        """Scale and offset, then residual blocks."""
        x = self._enter(x, self.name, stage)
        for block in range(blocks):
            prefix = f"{self.name}.{stage}.blocks.{block}"
            x = self.graph.node("Add", x, self._conv(self._silu(self._expanded(x, prefix)), f"{prefix}.mix"))
        return x

    def _ordered(self, name: str, width: int, by: int) -> np.ndarray:
        """A weight or bias whose outputs, channel by channel in the file, are put neighbour by neighbour."""
        values = self._tensor(name)
        return values.reshape(width, by * by, -1).swapaxes(0, 1).reshape(values.shape)

    def _by_neighbour(self, x: str, name: str, width: int, by: int, add: float = 0.0) -> str:
        """A 1x1 convolution whose outputs are `_ordered`, and `add`."""
        g, (weight, bias) = self.graph, (self._ordered(f"{name}.{part}", width, by) for part in ("weight", "bias"))
        _check_outputs(name, [weight, bias])
        bias = bias + np.float32(add)
        return g.node("Conv", x, g.constant(f"{name}.weight", weight), g.constant(f"{name}.bias", bias))

    # maps [h, w, c] and rows [n, c]

    def _cast(self, x: str, dtype: str) -> str:
        return self.graph.node("Cast", x, to=_DTYPES[dtype])

    def _clip(self, x: str, low: float, high: float) -> str:
        return self.graph.node("Clip", x, self.graph.scalar(low), self.graph.scalar(high))

    def _bytes(self, x: str, most: float) -> str:
        """Rounded down and clipped to 0 ... most, uint8."""
        return self._cast(self._clip(x, 0.0, most), "uint8")

    def _unsigned(self, x: str) -> str:
        """Integers -128 to 127 in float32 as uint8, 128 added: products of uint8 and int8 are four times as fast."""
        return self._cast(self.graph.node("Add", x, self.graph.scalar(128.0)), "uint8")

    def _rows(self, x: str, width: int, places: str) -> str:
        g = self.graph
        return g.node("Gather", g.node("Reshape", x, g.ints(-1, width)), places, axis=0)

    def _shuffle(self, x: str, width: int) -> str:
        """[h, w, 4 * width], rows of four neighbours -> [2 h, 2 w, width]."""
        g = self.graph
        sides = g.node("Slice", g.node("Shape", x), g.ints(0), g.ints(2))
        x = g.node("Reshape", x, g.node("Concat", sides, g.ints(2, 2 * width), axis=0))
        x = g.node("Transpose", x, perm=[0, 2, 1, 3])
        return g.node("Reshape", x, g.node("Concat", g.node("Mul", sides, g.ints(2)), g.ints(width), axis=0))

    # integers

    def _layer(self, name: str) -> list[np.ndarray]:
        """Weights, units and offsets: floor(sum * unit + offset) is what a layer gives, clipped."""
        weight, unit, offset = (self._tensor(f"{name}.{part}") for part in ("weight", "unit", "offset"))
        _check_outputs(name, [weight.T if weight.ndim == 2 else weight, unit, offset])
        return [weight, unit, offset]

    def _linear(self, x: str, name: str, signed: slice | None = None, add: float = 0.0) -> str:
        """A 1x1 integer layer of uint8 rows, and `add`, before it is rounded down. Inputs `signed` have 128 added."""
        g, (weight, unit, offset) = self.graph, self._layer(name)
        if signed is not None:
            offset = offset - 128 * weight[signed].sum(0, dtype=np.float64) * unit
        named = {"weight": weight, "unit": unit, "offset": _exactly(name, offset + np.float64(add))}
        weight_, unit_, offset_ = (g.constant(f"{name}.{part}", values) for part, values in named.items())
        return g.node("MatMulIntegerToFloat", x, weight_, g.scalar(1.0), unit_, "", "", offset_, domain=MICROSOFT)

    def _depthwise(self, x: str, name: str, ends: tuple[float, float], add: float = 0.0) -> str:
        """A 3x3 integer layer of maps [h, w, c], integers in float32, and `add`; clipped, but not yet rounded down.

        Nine products are below 2**18, so that sums are exact also in units of 2**-drop, whatever the order.
        """
        g, (weight, unit, offset) = self.graph, self._layer(name)
        weight, offset = weight * unit[:, None, None, None], offset + np.float64(add)
        named = {"weight": weight.astype(np.float32), "offset": _exactly(name, offset)}
        parts = [g.constant(f"{name}.{part}", values) for part, values in named.items()]
        x = self._first(g.node("Unsqueeze", x, g.ints(0)))
        x = self._clip(g.node("Conv", x, *parts, group=len(weight), pads=[1, 1, 1, 1]), *ends)
        return g.node("Squeeze", self._last(x), g.ints(0))


def _check_outputs(name: str, values: list[np.ndarray]) -> None:
    """Raise ValueError unless vectors that follow a weight have a value for each output; onnxruntime does not look."""
    outputs, *vectors = values
    if any(vector.shape != (len(outputs),) for vector in vectors):
        raise ValueError(f"{name} has {len(outputs)} outputs, and vectors of {[vector.shape for vector in vectors]}")


def _exactly(name: str, offset: np.ndarray) -> np.ndarray:
    """Float32. Raises BitstreamError where that is another number."""
    exact = offset.astype(np.float32)
    if (exact != offset).any():
        raise BitstreamError(f"an offset of {name} in this learned model does not fit float32: freeze it again")
    return exact
