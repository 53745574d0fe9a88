"""Names that appear in files and on command lines, and the objects they stand for.

A registry maps a name to `"module:attribute"`; nothing is imported until the name is used. Third parties join through
the entry-point groups `midtread.codecs`, `midtread.metrics` and `midtread.datasets`. A clash is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from midtread.errors import UnknownNameError, UsageError


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'jpeg'?"`, or the known names when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


class Registry:
    """Names of one kind. `add` refuses a second meaning for a name; `get` imports on first use."""

    def __init__(self, kind: str, targets: dict[str, str]) -> None:
        self.kind = kind
        self._targets: dict[str, str] = dict(targets)
        self._scanned = False

    def add(self, name: str, target: str) -> None:
        """Register `name` for `"module:attribute"`. Raises UsageError when it already means something else."""
        if self._targets.setdefault(name, target) != target:
            raise UsageError(f"{self.kind} {name!r} is already {self._targets[name]}, cannot also be {target}")

    def names(self) -> list[str]:
        """Every registered name, in the order of registration, third parties last."""
        if not self._scanned:  # the entry points are looked up once, and only by those who ask
            self._scanned = True
            for point in entry_points(group=f"midtread.{self.kind}s"):
                self.add(point.name, point.value)
        return list(self._targets)

    def get(self, name: str) -> Any:
        """The registered object. Raises UnknownNameError with the nearest name."""
        if name not in self._targets and name not in self.names():
            raise UnknownNameError(f"unknown {self.kind} {name!r}{nearest(name, self._targets)}")
        module, _, attribute = self._targets[name].partition(":")
        return getattr(import_module(module), attribute)


_EXTERNAL = "midtread.codecs.external"

CODECS = Registry(
    "codec",
    {
        "jpeg": f"{_EXTERNAL}.jpeg:Jpeg",
        "jpegxl": f"{_EXTERNAL}.jpegxl:JpegXL",
        "avif": f"{_EXTERNAL}.avif:Avif",
        "webp": f"{_EXTERNAL}.webp:WebP",
        "jpeg2000": f"{_EXTERNAL}.jpeg2000:Jpeg2000",
        "htj2k": f"{_EXTERNAL}.jpeg2000:Htj2k",
        "jpegls": f"{_EXTERNAL}.jpegls:JpegLS",
        "jpegxr": f"{_EXTERNAL}.jpegxr:JpegXR",
        "png": f"{_EXTERNAL}.lossless:Png",
        "tiff": f"{_EXTERNAL}.lossless:Tiff",
        "qoi": f"{_EXTERNAL}.lossless:Qoi",
        "hevc": f"{_EXTERNAL}.hevc:Hevc",
        "vvc": f"{_EXTERNAL}.vvc:Vvc",
        "av1": f"{_EXTERNAL}.av1:Av1",
    },
)

METRICS = Registry(
    "metric",
    {
        "psnr_db": "midtread.metrics.fidelity:PSNR",
        "psnr_yuv611_db": "midtread.metrics.fidelity:PSNR_YUV611",
        "ssim": "midtread.metrics.structure:SSIM",
        "ms_ssim": "midtread.metrics.structure:MS_SSIM",
        "ssimulacra2": "midtread.metrics.perceptual:SSIMULACRA2",
        "flip": "midtread.metrics.perceptual:FLIP",
        "vmaf": "midtread.metrics.vmaf:VMAF",
        "lpips": "midtread.metrics.learned:LPIPS",
        "dists": "midtread.metrics.learned:DISTS",
        "max_error": "midtread.metrics.fidelity:MAX_ERROR",
    },
)

DATASETS = Registry(
    "dataset",
    {
        "examples": "midtread.bench.datasets:EXAMPLES",
        "kodak": "midtread.bench.datasets:KODAK",
        "clic2020-professional-valid": "midtread.bench.datasets:CLIC2020_PROFESSIONAL_VALID",
        "tecnick": "midtread.bench.datasets:TECNICK",
        "div2k-valid": "midtread.bench.datasets:DIV2K_VALID",
    },
)
