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
        "compressai": f"{_EXTERNAL}.compressai:CompressAI",
        "vqvae": f"{_EXTERNAL}.vqvae:VqVae",
        "gaussian": "midtread.codecs.image.gaussian:Gaussian",
        "wavelet": "midtread.codecs.image.wavelet:Wavelet",
        "learned": "midtread.codecs.image.learned:Learned",
        "pipeline": "midtread.codecs.pipeline.codec:Pipeline",
        "floats": "midtread.codecs.tensor.floats:Floats",
        "safetensors": "midtread.codecs.tensor.safetensors:Safetensors",
        "field": "midtread.codecs.tensor.field:Field",
        "sz3": f"{_EXTERNAL}.fields:Sz3",
        "zfp": f"{_EXTERNAL}.fields:Zfp",
        "sperr": f"{_EXTERNAL}.fields:Sperr",
        "lerc": f"{_EXTERNAL}.fields:Lerc",
        "bitround": f"{_EXTERNAL}.arrays:BitRound",
        "pcodec": f"{_EXTERNAL}.arrays:Pcodec",
        "blosc2": f"{_EXTERNAL}.arrays:Blosc2",
        "zstd": f"{_EXTERNAL}.arrays:Zstd",
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
        "range_psnr_db": "midtread.metrics.fields:RANGE_PSNR",
        "nrmse": "midtread.metrics.fields:NRMSE",
        "gradient_error": "midtread.metrics.fields:GRADIENT_ERROR",
        "spectrum_error": "midtread.metrics.field_structure:SPECTRUM_ERROR",
        "slice_ssim": "midtread.metrics.field_structure:SLICE_SSIM",
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
        "fields": "midtread.bench.field_datasets:FIELDS",
        "turbulence": "midtread.bench.field_datasets:TURBULENCE",
        "turbulence-64": "midtread.bench.field_datasets:TURBULENCE_64",
    },
)

_CODERS = "midtread.entropy.coders"

CODERS = Registry(
    "coder",
    {
        "rans": f"{_CODERS}.rans:Rans",
        "range": f"{_CODERS}.range:Range",
        "cabac": f"{_CODERS}.cabac:Cabac",
        "huffman": f"{_CODERS}.huffman:Huffman",
        "rice": f"{_CODERS}.rice:Rice",
        "bitpack": f"{_CODERS}.bitpack:Bitpack",
        "constriction_ans": f"{_CODERS}.constriction_coders:ConstrictionAns",
        "constriction_range": f"{_CODERS}.constriction_coders:ConstrictionRange",
        "zstd": f"{_CODERS}.byte_coders:Zstd",
        "brotli": f"{_CODERS}.byte_coders:Brotli",
        "jpegls": f"{_CODERS}.plane_coders:JpegLsPlanes",
        "jpegxl": f"{_CODERS}.plane_coders:JpegXlPlanes",
        "webp": f"{_CODERS}.plane_coders:WebpPlanes",
        "png": f"{_CODERS}.plane_coders:PngPlanes",
    },
)

_TRANSFORMS = "midtread.transforms"

TRANSFORMS = Registry(
    "transform",
    {
        "none": f"{_TRANSFORMS}.base:Identity",
        "planes": f"{_TRANSFORMS}.colour:Planes",
        "ycocg-r": f"{_TRANSFORMS}.colour:YCoCgR",
        "rct": f"{_TRANSFORMS}.colour:Rct",
        "ycbcr": f"{_TRANSFORMS}.colour:YCbCr",
        "klt": f"{_TRANSFORMS}.colour:Klt",
        "dct": f"{_TRANSFORMS}.dct:Dct",
        "dct-int": f"{_TRANSFORMS}.dct:IntegerDct",
        "wavelet53": f"{_TRANSFORMS}.wavelet:Wavelet53",
        "wavelet97": f"{_TRANSFORMS}.wavelet:Wavelet97",
        "packet53": f"{_TRANSFORMS}.packet:Packet53",
        "packet97": f"{_TRANSFORMS}.packet:Packet97",
        "med": f"{_TRANSFORMS}.predict:Med",
        "paeth": f"{_TRANSFORMS}.predict:Paeth",
        "gradient": f"{_TRANSFORMS}.predict:Gradient",
        "lorenzo": f"{_TRANSFORMS}.predict:Lorenzo",
    },
)

_QUANTIZE = "midtread.quantize"

QUANTIZERS = Registry(
    "quantizer",
    {
        "none": f"{_QUANTIZE}.uniform:Identity",
        "uniform": f"{_QUANTIZE}.uniform:Uniform",
        "deadzone": f"{_QUANTIZE}.uniform:DeadZone",
        "rdoq": f"{_QUANTIZE}.rate_distortion:RateDistortion",
        "per-band": f"{_QUANTIZE}.per_band:PerBand",
        "mu-law": f"{_QUANTIZE}.companding:MuLaw",
        "power-law": f"{_QUANTIZE}.companding:PowerLaw",
        "lloyd-max": f"{_QUANTIZE}.lloyd_max:LloydMax",
        "digit-planes": f"{_QUANTIZE}.digit_planes:DigitPlanes",
    },
)

_MODELS = "midtread.entropy.models"

MODELS = Registry(
    "model",
    {
        "static": f"{_MODELS}:Static",
        "context": f"{_MODELS}:Context",
        "causal": f"{_MODELS}:Causal",
        "parametric": f"{_MODELS}:Parametric",
        "mixture": f"{_MODELS}:Mixture",
        "adaptive": f"{_MODELS}:AdaptiveBlocks",
    },
)
