r"""Raw video: Y4M and headerless YUV files <-> planes. Nothing is converted: planes are as the file has them.

    "YUV4MPEG2 W352 H288 F30:1 Ip A1:1 C420p10\n" │ per frame: "FRAME\n" │ Y │ Cb │ Cr     (little-endian above 8 bits)

Source: yuv4mpeg(5) of mjpegtools; ffmpeg libavformat/yuv4mpegdec.c for the names of colour spaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError, UsageError
from midtread.spec import Limits

Planes = tuple[np.ndarray, ...]  # (Y,) or (Y, Cb, Cr), uint8 up to 8 bits and uint16 above

_STEPS = {"4:0:0": None, "4:2:0": (2, 2), "4:2:2": (1, 2), "4:4:4": (1, 1)}  # rows, columns
_NAMES = {"4:0:0": "mono", "4:2:0": "420", "4:2:2": "422", "4:4:4": "444"}
_MAGIC = b"YUV4MPEG2"
_MAX_LINE = 1024


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a raw clip needs to be understood. `siting` is the rest of Y4M's colour space name, such as 'jpeg'."""

    width: int
    height: int
    chroma: str = "4:2:0"
    bits: int = 8
    rate: tuple[int, int] = (25, 1)  # frames per second, as a fraction
    siting: str = ""
    tags: tuple[str, ...] = ()  # Y4M's other tags, kept as they are: "Ip", "A1:1", "XCOLORRANGE=LIMITED"

    def __post_init__(self) -> None:
        if self.chroma not in _STEPS:
            raise UsageError(f"chroma {self.chroma!r} is not one of {', '.join(_STEPS)}")
        if not 8 <= self.bits <= 16:
            raise UsageError(f"bits={self.bits}; raw video here has 8 to 16")
        if self.width < 1 or self.height < 1:
            raise UsageError(f"a frame of {self.height} x {self.width} has no samples")

    @property
    def dtype(self) -> np.dtype:
        """Of the samples in a file."""
        return np.dtype("u1" if self.bits == 8 else "<u2")

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Of the planes; odd sizes round up."""
        steps = _STEPS[self.chroma]
        if steps is None:
            return ((self.height, self.width),)
        chroma = (-(-self.height // steps[0]), -(-self.width // steps[1]))
        return (self.height, self.width), chroma, chroma

    @property
    def frame_bytes(self) -> int:
        """Size of one frame in a file."""
        return sum(rows * columns for rows, columns in self.shapes) * self.dtype.itemsize


def _colour_space(word: str) -> tuple[str, int, str]:
    """Chroma, bits and siting of a Y4M colour space such as '420', '420mpeg2', '422p10' or 'mono12'."""
    match = re.fullmatch(r"(mono|420|422|444)(?:p?(9|1[0-6]))?(jpeg|mpeg2|paldv)?", word)
    if match is None:
        raise BitstreamError(
            f"this Y4M file has colour space {word[:20]!r}; midtread reads mono, 420, 422 and 444 of 8 to 16 bits"
        )
    chroma = next(name for name, text in _NAMES.items() if text == match[1])
    return chroma, int(match[2] or 8), match[3] or ""


def _header(data: bytes) -> tuple[VideoInfo, int]:
    end = data.find(b"\n", 0, _MAX_LINE)
    if end < 0:
        raise TruncatedError(f"this Y4M file has no end of line in its first {_MAX_LINE} bytes")
    words = data[:end].decode("ascii", "replace").split()
    if not words or words[0].encode() != _MAGIC:
        raise BitstreamError("this Y4M file does not start with YUV4MPEG2")
    numbers: dict[str, list[int]] = {}
    space, tags = "420", []
    for word in words[1:]:
        if word[0] in "WHF" and re.fullmatch(r"\d{1,9}(:\d{1,9})?", word[1:]):
            numbers[word[0]] = [int(part) for part in word[1:].split(":")]
        elif word[0] == "C":
            space = word[1:]
        else:
            tags.append(word)
    if "W" not in numbers or "H" not in numbers:
        raise BitstreamError("this Y4M file states no width or no height")
    chroma, bits, siting = _colour_space(space)
    rate = numbers.get("F", [25, 1])
    try:
        info = VideoInfo(
            numbers["W"][0], numbers["H"][0], chroma, bits, (rate[0], rate[-1] if len(rate) > 1 else 1), siting,
            tuple(tags),
        )  # fmt: skip
    except UsageError as error:
        raise BitstreamError(f"this Y4M file cannot be: {error}") from error
    return info, end + 1


def _frames(data: bytes) -> tuple[VideoInfo, list[int]]:
    """The header, and where the samples of each frame start."""
    info, offset = _header(data)
    starts: list[int] = []
    while offset < len(data):
        end = data.find(b"\n", offset, offset + _MAX_LINE)
        if data[offset : offset + 5] != b"FRAME" or end < 0:
            raise BitstreamError(f"this Y4M file has no FRAME line at byte {offset}, after {len(starts)} frames")
        if end + 1 + info.frame_bytes > len(data):
            raise TruncatedError(
                f"frame {len(starts)} of this Y4M file needs {info.frame_bytes} bytes, {len(data) - end - 1} left"
            )
        starts.append(end + 1)
        offset = end + 1 + info.frame_bytes
    return info, starts


def read_y4m_header(data: bytes) -> tuple[VideoInfo, int]:
    """What a Y4M file holds, and how many frames. Raises BitstreamError, TruncatedError."""
    info, starts = _frames(data)
    return info, len(starts)


def read_y4m(data: bytes, limits: Limits = Limits()) -> tuple[VideoInfo, list[Planes]]:
    """All frames of a Y4M file. Raises BitstreamError, TruncatedError, LimitError."""
    info, starts = _frames(data)
    limits.check_shape((len(starts), sum(a * b for a, b in info.shapes)), "this Y4M file")
    return info, [_planes(data, start, info) for start in starts]


def read_yuv(data: bytes, info: VideoInfo, limits: Limits = Limits()) -> list[Planes]:
    """All frames of a headerless file. Raises TruncatedError when its size is no multiple of a frame's."""
    count, rest = divmod(len(data), info.frame_bytes)
    if rest or not count:
        raise TruncatedError(
            f"{len(data)} bytes are not a whole number of {info.width} x {info.height} {info.chroma} {info.bits}-bit "
            f"frames of {info.frame_bytes} bytes; check width, height, chroma and bits"
        )
    limits.check_shape((count, sum(a * b for a, b in info.shapes)), "this YUV file")
    return [_planes(data, index * info.frame_bytes, info) for index in range(count)]


def _planes(data: bytes, start: int, info: VideoInfo) -> Planes:
    reader = Reader(data)
    reader.offset = start
    planes = []
    for shape in info.shapes:
        raw = reader.take(shape[0] * shape[1] * info.dtype.itemsize, "a plane")
        planes.append(np.frombuffer(raw, info.dtype).reshape(shape).astype(info.dtype.newbyteorder("=")))
    return tuple(planes)


def _raw(planes: Planes, index: int, info: VideoInfo) -> bytes:
    shapes, native = tuple(plane.shape for plane in planes), info.dtype.newbyteorder("=")
    if shapes != info.shapes or any(plane.dtype != native for plane in planes):
        raise UsageError(
            f"frame {index} has planes {shapes} of {', '.join(str(p.dtype) for p in planes)}; "
            f"{info.chroma} {info.bits}-bit video has {info.shapes} of {native}"
        )
    if any(int(plane.max()) >> info.bits for plane in planes):
        raise UsageError(f"frame {index} has samples above {2**info.bits - 1}, the most that {info.bits} bits hold")
    return b"".join(plane.astype(info.dtype).tobytes() for plane in planes)


def write_yuv(frames: Sequence[Planes], info: VideoInfo) -> bytes:
    """A headerless file. Raises UsageError for planes that are not what `info` says."""
    return b"".join(_raw(planes, index, info) for index, planes in enumerate(frames))


def write_y4m(frames: Sequence[Planes], info: VideoInfo) -> bytes:
    """A Y4M file. Raises UsageError for planes that are not what `info` says."""
    depth = "" if info.bits == 8 else f"{'' if info.chroma == '4:0:0' else 'p'}{info.bits}"
    words = [f"W{info.width}", f"H{info.height}", f"F{info.rate[0]}:{info.rate[1]}", *info.tags]
    words.append(f"C{_NAMES[info.chroma]}{depth}{info.siting}")
    head = b" ".join([_MAGIC, *(word.encode() for word in words)]) + b"\n"
    return head + b"".join(b"FRAME\n" + _raw(planes, index, info) for index, planes in enumerate(frames))
