"""Run the ffmpeg that imageio-ffmpeg brings: bytes in, bytes out, trouble in our words.

ffmpeg is a separate program because its build is GPL and because outside bytes are safer there: a decoder that
crashes on hostile ones takes nobody with it. Decoding names the one demuxer and the one decoder that may look at the
bytes, opens pipes only, and limits pixels and time.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from midtread.codecs.external.native import cpus
from midtread.errors import BitstreamError, CodecError, LimitError, MissingError, UsageError

NEEDS = (("imageio_ffmpeg", 'pip install "midtread[video]"'),)

ENCODE_S = 3600.0  # VVC's slowest presets take minutes for a large picture
DECODE_S = 300.0

_QUIET = ["-hide_banner", "-nostdin", "-loglevel"]


@cache
def executable() -> str:
    """Path of the binary. Raises MissingError."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingError(f"no ffmpeg here ({error}); install one with: {NEEDS[0][1]}") from error


@cache
def version() -> str:
    """As in 'FFmpeg n9.0.2'."""
    text = subprocess.run([executable(), "-version"], capture_output=True, text=True, timeout=60).stdout
    found = re.match(r"ffmpeg version (\S+)", text)
    return f"FFmpeg {found[1].split('-')[0]}" if found else "FFmpeg of unknown version"


@cache
def encoder_version(encoder: str, pattern: str) -> str:
    """What `encoder` calls itself in its log while it codes a gray square: the first group of `pattern`."""
    command = [executable(), *_QUIET, "verbose", "-f", "lavfi", "-i", "color=gray:s=64x64:d=0.1:r=10", "-frames:v", "1"]
    command += ["-pix_fmt", "yuv420p10le", "-c:v", encoder, "-f", "null", "-"]
    log = subprocess.run(command, capture_output=True, text=True, timeout=60).stderr
    found = re.search(pattern, log)
    return found[1] if found else "of unknown version"


def encode(
    raw: bytes,
    pixels: str,
    height: int,
    width: int,
    arguments: Sequence[str],
    suffix: str,
    colours: Sequence[str] = (),
) -> bytes:
    """Code one raw picture.

    Args:
        raw: the planes one after the other, 16-bit samples little-endian.
        pixels: ffmpeg's name of the layout, as in "yuv420p10le".
        height: of the first plane.
        width: of the first plane.
        arguments: encoder and its options, ffmpeg's command line after the input.
        suffix: "hevc", "vvc" or "avif": the muxer.
        colours: what the samples mean, as arguments; ffmpeg converts unless input and output are told the same.

    Raises:
        UsageError: the encoder refuses; its words are in the message.
        LimitError: it takes longer than `ENCODE_S`.
    """
    command = ["-f", "rawvideo", "-pix_fmt", pixels, "-video_size", f"{width}x{height}", "-framerate", "1"]
    command += [*colours, "-i", "pipe:0", "-frames:v", "1", "-threads", str(cpus()), "-fflags", "+bitexact"]
    command += [*arguments, *colours]
    # Into a file: the AVIF muxer seeks, and libvvenc prints warnings to stdout, into the middle of the stream.
    with tempfile.TemporaryDirectory(prefix="midtread-") as folder:
        path = Path(folder) / "picture"
        _run([*command, "-f", suffix, str(path)], raw, ENCODE_S, UsageError)
        return path.read_bytes()


def decode(data: bytes, codec: str, pixels: str, height: int, width: int, length: int) -> bytes:
    """Decode one picture from an Annex-B stream of `codec` ("hevc", "vvc") into `length` bytes of raw planes.

    Raises:
        BitstreamError: damage, or a picture of another size than height x width in `pixels`.
        LimitError: it takes longer than `DECODE_S`.
    """
    # Decoders pad: they count a few rows and columns more than the picture has.
    most = (height + 256) * (width + 256)
    # One thread: with more, FFmpeg 9's VVC decoder now and then gives garbage for pictures of one or two blocks.
    arguments = ["-protocol_whitelist", "pipe", "-max_pixels", str(most), "-threads", "1"]
    arguments += ["-err_detect", "explode", "-xerror", "-f", codec, "-c:v", codec, "-i", "pipe:0"]
    arguments += ["-frames:v", "1", "-noautoscale", "-f", "rawvideo", "-pix_fmt", pixels, "pipe:1"]
    raw = _run(arguments, data, DECODE_S, BitstreamError)
    if len(raw) != length:
        raise BitstreamError(
            f"the {codec} stream decodes to {len(raw)} bytes; {width} x {height} samples of {pixels} are {length}"
        )
    return raw


def _run(arguments: Sequence[str], data: bytes, seconds: float, error: type[CodecError]) -> bytes:
    command = [executable(), *_QUIET, "error", *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        raise LimitError(f"ffmpeg was still busy after {seconds:g} s and was stopped") from late
    if done.returncode:
        words = " / ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[:4]) or "no message"
        raise error(f"ffmpeg refuses (exit status {done.returncode}): {words}")
    return done.stdout
