"""Who runs the networks of a frozen model: onnxruntime, or PyTorch where it is installed. Both give the same symbols.

The integer graphs are exact wherever they run; analysis and synthesis are floats, and a pixel may differ by 1 / 255.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from midtread.codecs.image.learned_gradient import Gradient
from midtread.codecs.image.learned_graphs import Network
from midtread.codecs.image.learned_model import Model, Run
from midtread.errors import BitstreamError, MissingError

RUNTIMES = ("onnxruntime", "torch", "torch-bf16", "cuda", "cuda-bf16")


@lru_cache(8)
def open_run(model: Model, runtime: str, threads: int) -> Run:
    """The function that runs a graph of `model`. Raises MissingError: what it needs is not installed or not there."""
    if runtime == "onnxruntime":
        return _OnnxRuntime(model, threads)
    try:
        from midtread.nn.runtime import TorchRuntime
    except ModuleNotFoundError as error:
        raise MissingError(f"runtime {runtime!r} needs PyTorch: pip install 'midtread[train]'") from error
    return TorchRuntime(model.tensors, model.facts["config"], runtime, threads)


class _OnnxRuntime:
    """Sessions of the networks, each opened when it is first needed."""

    def __init__(self, model: Model, threads: int) -> None:
        import onnxruntime

        self._model, self._module = model, onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._options = options
        self._session = lru_cache(16)(self._open)

    def _open(self, name: str):  # type: ignore[no-untyped-def]
        model, network = self._model, Gradient if name == "refine" else Network
        config = {key: int(value) for key, value in model.facts["config"].items()}
        graph = network(name, model.tensors, config).build()
        try:
            return self._module.InferenceSession(graph, self._options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            raise BitstreamError(f"the weights in {model.folder} do not fit each other: {error}") from error

    def __call__(self, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        session = self._session(name)
        if name == "refine":
            inputs = inputs | {key: _eighths(inputs[key]) for key in ("target", "weight")}
        try:
            out = session.run(None, inputs)[0]
        except Exception as error:  # weights may fit each other but not what they are given
            raise BitstreamError(f"{self._model.folder}: the graph {name!r} does not run: {error}") from error
        return _pixels(out) if name == "synthesis" else out


def _eighths(pixels: np.ndarray) -> np.ndarray:
    """[8 h, 8 w, 3] of any type -> [1, h, w, 192], 8 x 8 pixels each; eight pixels of a row are moved as one."""
    height, width, _ = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width // 8, 24).view(f"V{24 * pixels.itemsize}")
    moved = np.ascontiguousarray(rows.reshape(height // 8, 8, width // 8).transpose(0, 2, 1))
    return moved.view(pixels.dtype).reshape(1, height // 8, width // 8, 192)


def _pixels(eighths: np.ndarray) -> np.ndarray:
    """uint8 [1, h, w, 192], 8 x 8 pixels each -> [8 h, 8 w, 3], the way back."""
    _, height, width, _ = eighths.shape
    rows = np.ascontiguousarray(eighths[0].view("V24").transpose(0, 2, 1))
    return rows.view(np.uint8).reshape(8 * height, 8 * width, 3)
