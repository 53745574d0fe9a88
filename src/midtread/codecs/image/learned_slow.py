"""The integer networks of the `learned` codec, written down so that anybody can follow them: they define the format.

onnxruntime and PyTorch must give the same integers; the tests compare them. Everything here is int64, one position
after the other.

A layer multiplies, adds, rounds half up and clips:

    out = clip((sum(x * weight) + offset) >> drop)        offset = bias + half of 2**drop

Files hold unit = 2**-drop and offset * unit as float32; both are exact.
"""

from __future__ import annotations

import numpy as np

from midtread.codecs.image.learned_model import Model


class SlowRuntime:
    """Called as any other runtime is, for hyper_synthesis and prior0 to prior3."""

    def __init__(self, model: Model) -> None:
        self._tensors = model.tensors

    def __call__(self, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """(graph, inputs) -> output, dtypes and shapes as in the ONNX graphs."""
        if name == "hyper_synthesis":
            return self.hyper_synthesis(inputs["z"], inputs["quality_offset"])
        maps = {key: value for key, value in inputs.items() if key != "places"}
        return self.prior(int(name.removeprefix("prior")), inputs["places"], maps)

    def hyper_synthesis(self, z: np.ndarray, quality_offset: np.ndarray) -> np.ndarray:
        """From z int8 [h, w, hyper] to features int8 [4 h, 4 w, features]."""
        x = spread(self.linear(z, "hyper_synthesis.first", 0, 127))
        x = self.depthwise(x, "hyper_synthesis.depthwise32", 0)
        x = spread(self.linear(x, "hyper_synthesis.up", 0, 127))
        x = self.depthwise(x, "hyper_synthesis.depthwise16", -128)
        return np.clip(x + quality_offset.astype(np.int64), 0, 127).astype(np.int8)

    def prior(self, group: int, places: np.ndarray, maps: dict[str, np.ndarray]) -> np.ndarray:
        """From int8 maps [h, w, c] of what is known, at places int64 [n], to means and scales int32 [n, 2 * slice]."""
        known = [maps["features"]]
        if group == 1:
            known.append(self.depthwise(maps["a"], "near_a_odd", -128))
        if group > 1:
            known += [maps["a"], self.depthwise(maps["a"], "near_a", -128)]
        if group == 3:
            known.append(self.depthwise(maps["b"], "near_b", -128))
        at = [divmod(int(place), maps["features"].shape[1]) for place in places]
        x = np.array([np.concatenate([part[row, column] for part in known]) for row, column in at])
        x = self.linear(x, f"priors.{group}.first", 0, 127)
        return self.linear(x, f"priors.{group}.heads", -1024, 1024).astype(np.int32)

    def linear(self, x: np.ndarray, name: str, low: int, high: int) -> np.ndarray:
        """Every output from all channels of its own position: [..., in] -> int64 [..., out]."""
        weight = self._tensors[f"{name}.weight"].astype(np.int64)
        rows = x.reshape(-1, x.shape[-1]).astype(np.int64)
        out = np.empty((len(rows), weight.shape[1]), np.int64)
        for n, row in enumerate(rows):
            out[n] = row @ weight
        return self.rescale(out, name, low, high).reshape(*x.shape[:-1], -1)

    def depthwise(self, x: np.ndarray, name: str, low: int) -> np.ndarray:
        """Every output from the 3x3 positions around it, of its own channel; beyond the edge they are 0."""
        weight = self._tensors[f"{name}.weight"].astype(np.int64)
        height, width = x.shape[:2]
        out = np.zeros(x.shape, np.int64)
        for row in range(height):
            for column in range(width):
                for i in range(max(row - 1, 0), min(row + 2, height)):
                    for j in range(max(column - 1, 0), min(column + 2, width)):
                        out[row, column] += x[i, j].astype(np.int64) * weight[:, 0, i - row + 1, j - column + 1]
        return self.rescale(out, name, low, 127)

    def rescale(self, total: np.ndarray, name: str, low: int, high: int) -> np.ndarray:
        """From sums to the units of the next layer."""
        unit, offset = self._tensors[f"{name}.unit"], self._tensors[f"{name}.offset"]
        drop = -np.log2(unit.astype(np.float64)).astype(np.int64)
        whole = np.floor(offset.astype(np.float64) * 2.0**drop).astype(np.int64)  # with drop 0 the half is below 1
        return np.clip((total + whole) >> drop, low, high)


def spread(x: np.ndarray) -> np.ndarray:
    """Four neighbours side by side -> where they stand: [h, w, 4 c] -> [2 h, 2 w, c]."""
    height, width, four = x.shape
    out = np.empty((2 * height, 2 * width, four // 4), x.dtype)
    for neighbour, part in enumerate(np.split(x, 4, axis=2)):
        out[neighbour // 2 :: 2, neighbour % 2 :: 2] = part
    return out
