"""Who runs the networks of a frozen model: onnxruntime, or PyTorch where it is installed. Both give the same symbols.

The integer graphs are exact wherever they run; analysis and synthesis are floats, and a pixel may differ by 1 / 255.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

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
    """Sessions of the graphs, each opened when it is first needed."""

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
        path = self._model.folder / f"{name}.onnx"
        if not path.is_file():
            raise MissingError(f"the learned model in {self._model.folder} lacks {path.name}; freeze it again")
        try:
            return self._module.InferenceSession(str(path), self._options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            raise BitstreamError(f"{path} is damaged or does not fit its weights: {error}") from error

    def __call__(self, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self._session(name).run(None, inputs)[0]
