"""The graph that the refiner searches with: the transpose of the synthesis' derivative, of the very same weights.

Written out by hand, layer by layer from the last to the first, so that an encoder needs no automatic differentiation:
a 1x1 convolution goes back by its transposed weights, a depthwise one by its flipped ones. The same network as the file
`refine.onnx`; as with `learned_graphs`, what is cheap here is what onnxruntime need not move.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.image.learned_graphs import Network

_Kept = list[tuple[str, str]]  # sigmoid and silu of what each block's activation was given


class Gradient(Network):
    """From y, target, weight and mix to the gradient, with respect to y, of half the squared error of the pixels.

    y and the gradient are float32 [1, h, w, width16]; target, in grey levels, and weight, 0 or 1, are float32
    [1, 2 h, 2 w, 192]: 8 x 8 pixels each, row by row, colours last; mix, float32 [3, 3], is a projection: which
    mixtures of the channels' errors count. Pixels are clipped but not rounded, and the slope of the clipping counts as
    1 everywhere: what is too bright to be seen is no error, and what is clipped to a wrong value still knows the way
    back.
    """

    def refine(self) -> None:
        """The graph."""
        g, c = self.graph, self.config
        y = g.input("y", "float32", [1, "h", "w", c["width16"]])
        x, kept16 = self._forward(self._first(y), "stage16", c["blocks16"])
        x = self._last(self._by_neighbour(x, "synthesis.up", c["width8"], 2))
        x = g.node("Unsqueeze", self._shuffle(g.node("Squeeze", x, g.ints(0)), c["width8"]), g.ints(0))
        x, kept8 = self._forward(self._first(x), "stage8", c["blocks8"])
        x = self._last(self._clip(self._by_neighbour(x, "synthesis.last", 3, 8), 0.0, 255.0))
        target, weight = (g.input(name, "float32", [1, "h8", "w8", 192]) for name in ("target", "weight"))
        x = g.node("Mul", g.node("Sub", x, target), weight)
        x = self._back(self._first(g.node("MatMul", x, self._last_weights())), "stage8", kept8)
        x = g.node("MatMul", self._unshuffled(self._last(x), y), self._up_weights())
        x = self._last(self._back(self._first(x), "stage16", kept16))
        out = g.node("Mul", x, self._given("synthesis", "stage16")[0])
        g.output("gradient", out, "float32", [1, "h", "w", c["width16"]])

    def _last_weights(self) -> str:
        """Of the last layer, [192, width8], mixed: an error's mixtures go back through it at once."""
        g, weight = self.graph, self._ordered("synthesis.last.weight", 3, 8)
        weight_ = g.constant("last", weight.reshape(64, 3, -1))
        mixed = g.node("MatMul", g.node("Transpose", g.input("mix", "float32", [3, 3]), perm=[1, 0]), weight_)
        return g.node("Reshape", mixed, g.ints(192, -1))

    def _up_weights(self) -> str:
        """Of the layer between the stages, [4 width8, width16], times the scale of stage8."""
        g, weight = self.graph, self._ordered("synthesis.up.weight", self.config["width8"], 2)
        scale = g.node("Unsqueeze", self._given("synthesis", "stage8")[0], g.ints(1))
        scaled = g.node("Mul", g.constant("up", weight.reshape(4, self.config["width8"], -1)), scale)
        return g.node("Reshape", scaled, g.ints(len(weight), -1))

    def _unshuffled(self, x: str, y: str) -> str:
        """[1, 2 h, 2 w, c] -> [1, h, w, 4 c], four neighbours side by side; y says h and w."""
        g, width = self.graph, self.config["width8"]
        high, wide = (g.node("Slice", g.node("Shape", y), g.ints(axis), g.ints(axis + 1)) for axis in (1, 2))
        x = g.node("Reshape", x, g.node("Concat", high, g.ints(2), wide, g.ints(2 * width), axis=0))
        x = g.node("Transpose", x, perm=[0, 2, 1, 3])
        return g.node("Reshape", x, g.node("Concat", g.ints(1), high, wide, g.ints(4 * width), axis=0))

    def _forward(self, x: str, stage: str, blocks: int) -> tuple[str, _Kept]:
        """A stage of the synthesis, and what its activations gave."""
        g, kept = self.graph, []
        x = self._enter(x, "synthesis", stage)
        for block in range(blocks):
            at = self._expanded(x, f"synthesis.{stage}.blocks.{block}")
            sigmoid = g.node("Sigmoid", at)
            kept.append((sigmoid, g.node("Mul", at, sigmoid)))
            x = g.node("Add", x, self._conv(kept[-1][1], f"synthesis.{stage}.blocks.{block}.mix"))
        return x, kept

    def _back(self, x: str, stage: str, kept: _Kept) -> str:
        """A gradient behind the blocks of a stage -> the gradient before them.

        The slope of x * sigmoid(x) is sigmoid + x * sigmoid * (1 - sigmoid); a convolution gives the last factor,
        because onnxruntime would leave its own layout for a difference.
        """
        g = self.graph
        x = self._same(x, self._tensor(f"synthesis.{stage}.scale").shape[1])
        for block in reversed(range(len(kept))):
            prefix, (sigmoid, silu) = f"synthesis.{stage}.blocks.{block}", kept[block]
            width = len(self._tensor(f"{prefix}.expand.weight"))
            ones = np.ones(width, np.float32)
            parts = g.constant(f"minus{width}", -ones.reshape(-1, 1, 1, 1)), g.constant(f"one{width}", ones)
            slope = g.node("Add", sigmoid, g.node("Mul", silu, g.node("Conv", sigmoid, *parts, group=width)))
            inner = g.node("Mul", slope, self._transposed(x, f"{prefix}.mix"))
            x = g.node("Add", x, self._flipped(self._transposed(inner, f"{prefix}.expand"), f"{prefix}.depthwise"))
        return x

    def _transposed(self, x: str, name: str) -> str:
        """The transpose of the 1x1 convolution `name`, as a linear map."""
        weight = self._tensor(f"{name}.weight").transpose(1, 0, 2, 3)
        return self.graph.node("Conv", x, self.graph.constant(f"{name}.transposed", weight))

    def _flipped(self, x: str, name: str) -> str:
        """The transpose of the depthwise 3x3 convolution `name`."""
        weight = self._tensor(f"{name}.weight")[:, :, ::-1, ::-1]
        return self.graph.node(
            "Conv", x, self.graph.constant(f"{name}.flipped", weight), group=len(weight), pads=[1, 1, 1, 1]
        )
