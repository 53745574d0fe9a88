"""VMAF by the libvmaf inside ffmpeg.

    picture ──► BT.709 luma, limited range ──► one raw frame: reconstruction above, source below ──► ffmpeg ──► score

Both pictures travel in one frame and are cut apart inside the filter graph. Two inputs would be paired by their
timestamps, and a container that shifts those makes libvmaf compare frames that do not belong together, silently.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
from functools import lru_cache

import numpy as np

from midtread.errors import CodecError
from midtread.metrics import pictures
from midtread.spec import Metric

_MODEL = "vmaf_v0.6.1"
_SMALLEST = 64  # libvmaf 3 crashes at 16 and below; up to 32 its borders disagree with other implementations
_SCORE = re.compile(r"VMAF score: (-?[0-9.]+)")


def vmaf(x: np.ndarray, x_hat: np.ndarray) -> float:
    """VMAF v0.6.1 of a still: 0 to 100; equal pictures score about 97.4, since nothing moves.

    Source: Z. Li et al., "Toward a Practical Perceptual Video Quality Metric", Netflix, 2016; github.com/Netflix/vmaf.

    Args:
        x: gray or RGB picture of at least 64 x 64 pixels, see `pictures`. uint8 is measured with 8-bit luma, all
            else with 16-bit luma.
        x_hat: same shape and dtype.

    Raises:
        UsageError: not a picture, or too small.
        CodecError: ffmpeg failed.
    """
    planes, planes_hat = pictures.pair("vmaf", x, x_hat, at_least=_SMALLEST)
    bits = 8 if x.dtype == np.uint8 else 16
    luma = np.concatenate([_luma(planes_hat, bits), _luma(planes, bits)])
    chroma = np.full_like(luma, 2 ** (bits - 1))
    frame = luma.tobytes() + 2 * chroma.tobytes()
    return _run(frame, x.shape[0], x.shape[1], "yuv444p" if bits == 8 else "yuv444p16le")


def _luma(planes: pictures.Planes, bits: int) -> np.ndarray:
    """BT.709 luma in limited range (16 to 235 of 255), the range that VMAF was trained on."""
    luma = planes[0] if len(planes) == 1 else np.tensordot(np.array([0.2126, 0.7152, 0.0722], np.float32), planes, 1)
    levels: np.ndarray = np.rint((16 + 219 * luma) * 2 ** (bits - 8))
    return levels.astype("u1" if bits == 8 else "<u2")


def _run(frame: bytes, height: int, width: int, pixels: str) -> float:
    graph = (
        f"split[a][b];[a]crop={width}:{height}:0:0[distorted];[b]crop={width}:{height}:0:{height}[reference];"
        f"[distorted][reference]libvmaf=model=version={_MODEL}"
    )
    size = f"{width}x{2 * height}"
    command = [_ffmpeg(), "-hide_banner", "-nostats", "-loglevel", "info"]
    command += ["-f", "rawvideo", "-pix_fmt", pixels, "-video_size", size, "-framerate", "1", "-i", "pipe:0"]
    command += ["-filter_complex", graph, "-f", "null", "-"]
    done = subprocess.run(command, input=frame, capture_output=True, check=False)
    text = done.stderr.decode("utf-8", "replace")
    found = _SCORE.search(text)
    if done.returncode or not found:
        last = (text.strip().splitlines() or ["it said nothing"])[-1]
        raise CodecError(f"metric 'vmaf': {command[0]} ended with code {done.returncode}: {last}")
    return float(found[1])


def _ffmpeg() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())


@lru_cache(maxsize=4)
def _knows_vmaf(ffmpeg: str) -> bool:
    """Asked once per binary: starting ffmpeg takes a tenth of a second."""
    help_text = subprocess.run([ffmpeg, "-hide_banner", "-h", "filter=libvmaf"], capture_output=True, check=False)
    return b"Filter libvmaf" in help_text.stdout


def _missing() -> str | None:
    install = "install one with: pip install imageio-ffmpeg"
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return f"it needs an ffmpeg with libvmaf; {install}"
    try:
        ffmpeg = _ffmpeg()
    except RuntimeError:
        return f"imageio-ffmpeg has no ffmpeg binary here; {install}"
    if not _knows_vmaf(ffmpeg):
        return f"{ffmpeg} was built without libvmaf; unset IMAGEIO_FFMPEG_EXE or {install}"
    return None


VMAF = Metric(
    name="vmaf",
    label="VMAF",
    better="higher",
    measure=vmaf,
    missing=_missing,
    recipe=(
        f"libvmaf in ffmpeg, built-in model {_MODEL}, one frame (motion 0: equal pictures score 97.43); BT.709 "
        "limited-range luma rounded to 8 bits for uint8, to 16 bits otherwise; alpha over mid-gray; floats in [0, 1]; "
        "at least 64 x 64 pixels"
    ),
)
