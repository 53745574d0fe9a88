"""The graph that the refiner searches with: the transpose of the synthesis' derivative, of the very same weights.

Written out by hand, layer by layer from the last to the first, so that an encoder needs no automatic differentiation:
a 1x1 convolution goes back by its transposed weights, a depthwise one by its flipped ones, and onnxruntime folds both
once, when it opens the graph.
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from midtread.train.graphs import Graph, conv, silu


def _transposed(g: Graph, x: str, name: str) -> str:
    """The transpose of the 1x1 convolution `name`, as a linear map."""
    return g.node("Conv", x, g.node("Transpose", g.weight(f"{name}.weight"), perm=[1, 0, 2, 3]))


def _flipped(g: Graph, x: str, name: str, width: int) -> str:
    """The transpose of the depthwise 3x3 convolution `name`."""
    ends, back = g.constant(-4, -4), g.constant(-1, -1)
    weight = g.node("Slice", g.weight(f"{name}.weight"), back, ends, g.constant(2, 3), back)
    return g.node("Conv", x, weight, group=width, pads=[1, 1, 1, 1])


def _stage_kept(g: Graph, x: str, name: str, blocks: int, width: int) -> tuple[str, list[str]]:
    """`_stage` of the synthesis, and what its activations are given."""
    size: list[int | str] = [1, width, 1, 1]
    x = g.node("Mul", x, g.input(f"{name}.scale", TensorProto.FLOAT, size))
    x = g.node("Add", x, g.input(f"{name}.offset", TensorProto.FLOAT, size))
    kept = []
    for block in range(blocks):
        prefix = f"synthesis.{name}.blocks.{block}"
        inner = conv(g, x, f"{prefix}.depthwise", group=width, pads=[1, 1, 1, 1])
        kept.append(conv(g, inner, f"{prefix}.expand"))
        x = g.node("Add", x, conv(g, silu(g, kept[-1]), f"{prefix}.mix"))
    return x, kept


def _stage_back(g: Graph, x: str, name: str, kept: list[str], width: int) -> str:
    """A gradient behind a stage of the synthesis -> the gradient before it."""
    for block in reversed(range(len(kept))):
        prefix, at = f"synthesis.{name}.blocks.{block}", kept[block]
        sigmoid = g.node("Sigmoid", at)
        slope = g.node("Mul", at, g.node("Sub", g.scalar(1.0), sigmoid))
        slope = g.node("Mul", sigmoid, g.node("Add", slope, g.scalar(1.0)))  # of x * sigmoid(x)
        inner = _transposed(g, g.node("Mul", slope, _transposed(g, x, f"{prefix}.mix")), f"{prefix}.expand")
        x = g.node("Add", x, _flipped(g, inner, f"{prefix}.depthwise", width))
    return g.node("Mul", x, f"{name}.scale")


def _eighths(g: Graph, x: str, rows: str) -> str:
    """Pixels [8 H, 8 W, 3] -> [1, 192, H, W], as the last convolution of the synthesis gives them."""
    high, wide = (g.node("Slice", rows, g.constant(axis), g.constant(axis + 1)) for axis in (0, 1))
    x = g.node("Reshape", x, g.node("Concat", high, g.constant(8), wide, g.constant(8, 3), axis=0))
    x = g.node("Transpose", x, perm=[4, 1, 3, 0, 2])
    return g.node("Reshape", x, g.node("Concat", g.constant(1, 192), rows, axis=0))


def _unshuffled(g: Graph, x: str, width: int, sides: str) -> str:
    """[1, width, 2 h, 2 w] -> [1, 4 * width, h, w], what DepthToSpace undoes."""
    high, wide = (g.node("Slice", sides, g.constant(axis), g.constant(axis + 1)) for axis in (0, 1))
    x = g.node("Reshape", x, g.node("Concat", g.constant(width), high, g.constant(2), wide, g.constant(2), axis=0))
    x = g.node("Transpose", x, perm=[0, 2, 4, 1, 3])
    return g.node("Reshape", x, g.node("Concat", g.constant(1, 4 * width), sides, axis=0))


def refine(g: Graph, config: Any) -> None:
    """From y, target, weight and mix to the gradient, with respect to y, of half the squared error of the pixels.

    y and the gradient are float32 [1, h, w, width16]; target, in grey levels, and weight, 0 or 1 for each pixel, are
    float32 [16 h, 16 w, 3]; mix, float32 [3, 3], is a projection: which mixtures of the channels' errors count.
    Pixels are clipped but not rounded, and the slope of the clipping counts as 1 everywhere: what is too bright to be
    seen is no error, and what is clipped to a wrong value still knows the way back.
    """
    w8, w16 = config.width8, config.width16
    x = g.node("Transpose", g.input("y", TensorProto.FLOAT, [1, "h", "w", w16]), perm=[0, 3, 1, 2])
    sides = g.node("Slice", g.node("Shape", x), g.constant(2), g.constant(4))
    x, kept16 = _stage_kept(g, x, "stage16", config.blocks16, w16)
    x = g.node("DepthToSpace", conv(g, x, "synthesis.up"), blocksize=2, mode="CRD")
    x, kept8 = _stage_kept(g, x, "stage8", config.blocks8, w8)
    x = g.node("Clip", conv(g, x, "synthesis.last"), g.scalar(0.0), g.scalar(255.0))
    rows = g.node("Mul", sides, g.constant(2))
    size: list[int | str] = ["h16", "w16", 3]
    target, weight = (_eighths(g, g.input(name, TensorProto.FLOAT, size), rows) for name in ("target", "weight"))
    x = g.node("Mul", g.node("Sub", x, target), weight)
    mixed = g.node("MatMul", g.input("mix", TensorProto.FLOAT, [3, 3]), g.node("Reshape", x, g.constant(3, -1)))
    x = g.node("Reshape", mixed, g.node("Shape", x))
    x = _stage_back(g, _transposed(g, x, "synthesis.last"), "stage8", kept8, w8)
    x = _stage_back(g, _transposed(g, _unshuffled(g, x, w8, sides), "synthesis.up"), "stage16", kept16, w16)
    g.output("gradient", g.node("Transpose", x, perm=[0, 2, 3, 1]), TensorProto.FLOAT, [1, "h", "w", w16])
