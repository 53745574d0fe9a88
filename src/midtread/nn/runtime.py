"""A frozen picture model in PyTorch: the graphs that train/graphs.py writes for ONNX, name by name.

Integer graphs (hyper_synthesis, prior0 ... prior3) give the same integers as onnxruntime, on every device, layout and
number of threads. They are float32 here, and every sum in them stays under 2**24 (`train.frozen.integers`), so that no
order of adding can round. Their factors have at most 8 bits, so that matrix units which shorten float32 to TF32 or
bfloat16 change nothing either. A 3x3 layer is nine shifted products: no library can choose Winograd or FFT for it.

Float graphs (analysis, hyper_analysis, synthesis) may differ from onnxruntime in the last bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from midtread.errors import BitstreamError, LimitError, MissingError, UsageError

RUNTIMES = ("torch", "torch-bf16", "cuda", "cuda-bf16")

_SETTINGS = threading.Lock()  # PyTorch's number of threads and its TF32 switches belong to the whole process


class TorchRuntime:
    """Runs a graph of a frozen model: (name, inputs) -> output, NumPy in and out, as onnxruntime would.

    Args:
        tensors: of model.safetensors, by name.
        config: widths and depths, by the names of `nn.image.ImageConfig`.
        runtime: one of `RUNTIMES`; with "-bf16" the inner layers of the float graphs are bfloat16, the first and the
            last are not: pixels have 8 bits, a bfloat16 has as many.
        threads: of the CPU.
        channels_last: memory layout of the float graphs.

    Raises:
        MissingError: a CUDA runtime where PyTorch finds no such GPU.
    """

    def __init__(
        self,
        tensors: dict[str, np.ndarray],
        config: dict[str, Any],
        runtime: str,
        threads: int,
        *,
        channels_last: bool = True,
    ) -> None:
        if runtime not in RUNTIMES:
            raise UsageError(f"there is no PyTorch runtime {runtime!r}; there are {', '.join(RUNTIMES)}")
        if runtime.startswith("cuda") and not torch.cuda.is_available():
            raise MissingError(
                f"runtime {runtime!r} needs an NVIDIA GPU and a PyTorch built for it; torch.cuda.is_available() is "
                "false here; runtimes 'onnxruntime' and 'torch' run on any CPU and give the same symbols"
            )
        self._tensors, self._config, self._threads = tensors, config, threads
        self._device = torch.device("cuda" if runtime.startswith("cuda") else "cpu")
        self._inner = torch.bfloat16 if runtime.endswith("bf16") else torch.float32
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._loaded: dict[tuple[str, torch.dtype], Tensor] = {}
        self._graphs: dict[str, Callable[[dict[str, Tensor]], Tensor]] = {
            "analysis": self.analysis,
            "hyper_analysis": self.hyper_analysis,
            "synthesis": lambda feeds: self.synthesis(feeds)[0],
            "hyper_synthesis": lambda feeds: self.hyper_synthesis(feeds["z"][None], feeds["quality_offset"])[0],
        }

    def __call__(self, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The output of a graph.

        Raises:
            BitstreamError: the model lacks a tensor.
            LimitError: the GPU's memory is full.
        """
        with _settings(self._threads), torch.inference_mode():
            try:
                feeds = {key: torch.tensor(value, device=self._device) for key, value in inputs.items()}
                if name.startswith("prior"):
                    places = feeds.pop("places")
                    maps = {key: value[None] for key, value in feeds.items()}
                    out = self.prior(int(name.removeprefix("prior")), places, maps)[0]
                else:
                    out = self._graphs[name](feeds)
                return np.ascontiguousarray(out.cpu().numpy())
            except torch.OutOfMemoryError as error:
                raise LimitError(f"the GPU has no memory left for the graph {name!r} of a tile: {error}") from error

    def analysis(self, feeds: dict[str, Tensor]) -> Tensor:
        """From pixels uint8 [n, h, w, 3] and the stages' vectors to y float32 [n, h / 16, w / 16, latents]."""
        x = self._channels_first(feeds["pixels"].float())
        x = self._conv(x, "analysis.first", torch.float32, stride=8)
        x = self._stage(x, "analysis.stage8", feeds, self._config["blocks8"])
        x = self._conv(x, "analysis.down", stride=2)
        x = self._stage(x, "analysis.stage16", feeds, self._config["blocks16"])
        return x.float().permute(0, 2, 3, 1)

    def hyper_analysis(self, feeds: dict[str, Tensor]) -> Tensor:
        """From y float32 [n, h, w, latents] to z float32 [n, h / 4, w / 4, hyper]."""
        x, name = self._channels_first(feeds["y"]), "hyper_analysis"
        x = F.silu(self._conv(x.to(self._inner), f"{name}.first"))
        x = F.silu(self._conv(x, f"{name}.depthwise", padding=1, groups=x.shape[1]))
        x = F.silu(self._conv(x, f"{name}.down", stride=2))
        return self._conv(x, f"{name}.last", torch.float32, stride=2).permute(0, 2, 3, 1)

    def synthesis(self, feeds: dict[str, Tensor]) -> Tensor:
        """From y float32 [n, h, w, latents] and the stages' vectors to pixels uint8 [n, 16 h, 16 w, 3]."""
        x = self._stage(self._channels_first(feeds["y"]), "synthesis.stage16", feeds, self._config["blocks16"])
        x = F.pixel_shuffle(self._conv(x, "synthesis.up"), 2)
        x = self._stage(x, "synthesis.stage8", feeds, self._config["blocks8"])
        x = self._conv(x, "synthesis.last", torch.float32)
        x = F.pixel_shuffle(torch.round(x).clamp(0, 255).to(torch.uint8), 8)
        return x.permute(0, 2, 3, 1)

    def hyper_synthesis(self, z: Tensor, quality_offset: Tensor) -> Tensor:
        """From z int8 [n, h, w, hyper] and whole numbers in float32 to features int8 [n, 4 h, 4 w, features]."""
        name = "hyper_synthesis"
        x = self._shuffle(self._linear(z, f"{name}.first", 0, 127))
        x = self._linear(self._depthwise(x, f"{name}.depthwise32", 0), f"{name}.up", 0, 127)
        x = self._depthwise(self._shuffle(x), f"{name}.depthwise16", -128)
        return (x + quality_offset).clamp(0, 127).to(torch.int8)

    def prior(self, group: int, places: Tensor, maps: dict[str, Tensor]) -> Tensor:
        """From int8 maps [n, h, w, c] of what is known, at places int64 [k], to heads int32 [n, k, 2 * slice]."""

        def rows(x: Tensor) -> Tensor:
            return x.float().flatten(1, 2)[:, places]

        known = [rows(maps["features"])]
        if group > 1:
            known.append(rows(maps["a"]))
        if group:
            known.append(rows(self._depthwise(maps["a"], "near_a_odd" if group == 1 else "near_a", -128)))
        if group == 3:
            known.append(rows(self._depthwise(maps["b"], "near_b", -128)))
        x = self._linear(torch.cat(known, -1), f"priors.{group}.first", 0, 127)
        return self._linear(x, f"priors.{group}.heads", -1024, 1024).to(torch.int32)

    def _tensor(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """A tensor of the model on the device, kept."""
        if (name, dtype) not in self._loaded:
            if name not in self._tensors:
                raise BitstreamError(f"this learned model lacks the tensor {name!r}: freeze it again")
            tensor = torch.tensor(self._tensors[name]).to(self._device, dtype)
            self._loaded[name, dtype] = tensor.to(memory_format=self._layout) if tensor.ndim == 4 else tensor
        return self._loaded[name, dtype]

    def _channels_first(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2).contiguous(memory_format=self._layout)

    def _conv(self, x: Tensor, name: str, dtype: torch.dtype | None = None, **options: int) -> Tensor:
        """A float convolution, in `dtype` or that of inner layers; the bias is there if the model has one."""
        dtype = dtype or self._inner
        bias = self._tensor(f"{name}.bias", dtype) if f"{name}.bias" in self._tensors else None
        return F.conv2d(x.to(dtype), self._tensor(f"{name}.weight", dtype), bias, **options)

    def _stage(self, x: Tensor, name: str, feeds: dict[str, Tensor], blocks: int) -> Tensor:
        """Scale, offset, residual blocks."""
        stage = name.split(".")[1]
        x = (x * feeds[f"{stage}.scale"] + feeds[f"{stage}.offset"]).to(self._inner)
        for number in range(blocks):
            block = f"{name}.blocks.{number}"
            inner = self._conv(x, f"{block}.depthwise", padding=1, groups=x.shape[1])
            x = x + self._conv(F.silu(self._conv(inner, f"{block}.expand")), f"{block}.mix")
        return x

    def _linear(self, x: Tensor, name: str, low: int, high: int) -> Tensor:
        """A 1x1 integer layer on [..., in]."""
        return self._rescale(x.float() @ self._tensor(f"{name}.weight"), name, low, high)

    def _depthwise(self, x: Tensor, name: str, low: int) -> Tensor:
        """A 3x3 integer layer on [n, h, w, c]."""
        weight, (height, width) = self._tensor(f"{name}.weight"), x.shape[1:3]
        padded = F.pad(x.float(), (0, 0, 1, 1, 1, 1))
        total = torch.zeros_like(padded[:, :height, :width])
        for row in range(3):
            for column in range(3):
                total += padded[:, row : row + height, column : column + width] * weight[:, 0, row, column]
        return self._rescale(total, name, low, 127)

    def _rescale(self, x: Tensor, name: str, low: int, high: int) -> Tensor:
        """floor(x * unit + offset), clipped: whole numbers in float32."""
        unit, offset = self._tensor(f"{name}.unit"), self._tensor(f"{name}.offset")
        return torch.floor(x * unit + offset).clamp(low, high)

    @staticmethod
    def _shuffle(x: Tensor) -> Tensor:
        """[n, h, w, 4 c], four neighbours side by side -> [n, 2 h, 2 w, c]."""
        n, height, width, four = x.shape
        x = x.reshape(n, height, width, 2, 2, four // 4).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, 2 * height, 2 * width, four // 4)


@contextmanager
def _settings(threads: int) -> Iterator[None]:
    """This many threads and no TF32 inside; the caller's settings again afterwards."""
    with _SETTINGS:
        before, tf32 = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            torch.set_num_threads(before)
            torch.backends.cuda.matmul.allow_tf32 = tf32
