"""PNM, read and written by midtread itself: PBM, PGM, PPM, PAM and PFM.

    "P5" (gray) or "P6" (RGB) │ width height maxval in ASCII │ one blank │ rows, big-endian above 255
    "Pf" or "PF" │ width height scale (negative: little-endian) │ float32 rows from the bottom up
    "P7" │ lines WIDTH, HEIGHT, DEPTH, MAXVAL, TUPLTYPE, ENDHDR │ as P6, with 1 to 4 channels

Sources: netpbm manual pages pbm(5), pgm(5), ppm(5), pam(5); Debevec's PFM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from midtread.container.reader import Reader
from midtread.errors import BitstreamError, TruncatedError, UsageError
from midtread.media.header import Header, shape_of, to_full_scale
from midtread.spec import Limits

_WHAT = "this PNM file"
_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]{1,20})")
_MAX_HEADER = 4096


@dataclass(frozen=True, slots=True)
class _Layout:
    header: Header
    kind: bytes  # "P1" to "P7", "Pf", "PF"
    maxval: int
    big_endian: bool = True


def _layout(data: bytes) -> _Layout:
    kind = bytes(data[:2])
    if kind == b"P7":
        return _pam(data)
    if kind not in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF"):
        raise BitstreamError(f"{_WHAT} starts with {kind!r}; P1 to P7, Pf and PF exist")
    at, words = 2, []
    for what in ("width", "height", "maxval")[: 2 if kind in (b"P1", b"P4") else 3]:
        match = _TOKEN.match(data, at, at + _MAX_HEADER)
        if match is None:
            raise TruncatedError(f"{_WHAT}: no {what} after byte {at}")
        words.append(match[1])
        at = match.end()
    size = _whole(words[1], "height"), _whole(words[0], "width")
    if kind in (b"Pf", b"PF"):
        try:
            scale = float(words[2])
        except ValueError:
            raise BitstreamError(f"{_WHAT}: scale is {words[2]!r}, not a number") from None
        return _Layout(Header(shape_of(*size, 3 if kind == b"PF" else 1), offset=at + 1), kind, 0, scale > 0)
    maxval = _whole(words[2], "maxval") if len(words) == 3 else 1
    return _checked(shape_of(*size, 3 if kind in (b"P3", b"P6") else 1), kind, maxval, at + (kind > b"P3"))


def _pam(data: bytes) -> _Layout:
    end = data.find(b"ENDHDR\n", 0, _MAX_HEADER)
    if end < 0:
        raise TruncatedError(f"{_WHAT}: no ENDHDR in its first {_MAX_HEADER} bytes")
    words = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\S+)", data[:end], re.MULTILINE))
    height, width, depth, maxval = (
        _whole(words.get(key, b""), key.decode().lower()) for key in (b"HEIGHT", b"WIDTH", b"DEPTH", b"MAXVAL")
    )
    if not 1 <= depth <= 4:
        raise BitstreamError(f"{_WHAT} claims {depth} channels; midtread reads 1 to 4")
    return _checked(shape_of(height, width, depth), b"P7", maxval, end + 7)


def _checked(shape: tuple[int, ...], kind: bytes, maxval: int, offset: int) -> _Layout:
    if not 1 <= maxval <= 65535:
        raise BitstreamError(f"{_WHAT} claims a maxval of {maxval}; 1 to 65535 exist")
    return _Layout(Header(shape, maxval.bit_length(), offset), kind, maxval)


def _whole(word: bytes, what: str) -> int:
    if not word.isdigit() or len(word) > 10:
        raise BitstreamError(f"{_WHAT}: {what} is {word[:20]!r}, not a whole number below 10 digits")
    return int(word)


def probe(data: bytes) -> Header:
    """Size of the picture."""
    return _layout(data).header


def decode(data: bytes, limits: Limits) -> np.ndarray:
    """uint8, uint16 or float32 samples; a maxval below white is stretched to full scale."""
    layout = _layout(data)
    layout.header.check("PNM", limits)
    shape = layout.header.shape
    if layout.kind in (b"P1", b"P2", b"P3"):
        x = _ascii(data, layout)
    elif layout.kind == b"P4":
        reader = _at(data, layout)
        rows = np.frombuffer(reader.take((shape[1] + 7) // 8 * shape[0], "PBM samples"), np.uint8)
        _end(reader)
        x = np.unpackbits(rows.reshape(shape[0], -1), axis=1)[:, : shape[1]]
    else:
        floats = layout.kind in (b"Pf", b"PF")
        order = ">" if layout.big_endian else "<"
        dtype = np.dtype(order + ("f4" if floats else "u2" if layout.maxval > 255 else "u1"))
        count = int(np.prod(shape, dtype=np.int64))
        reader = _at(data, layout)
        x = np.frombuffer(reader.take(count * dtype.itemsize, "PNM samples"), dtype).reshape(shape)
        _end(reader)
        if floats:
            return np.ascontiguousarray(x[::-1], dtype=np.float32)
        x = x.astype(dtype.newbyteorder("="))
    if layout.kind in (b"P1", b"P4"):
        return ((x == 0) * np.uint8(255)).astype(np.uint8)  # in PBM, 1 is black
    return _stretch(x, layout.maxval)


def _at(data: bytes, layout: _Layout) -> Reader:
    reader = Reader(data)
    reader.offset = layout.header.offset
    return reader


def _end(reader: Reader) -> None:
    """PNM files may hold several pictures, one after the other."""
    if reader.left > 2 and bytes(reader.take(1, "the next picture")) == b"P":
        raise BitstreamError(f"{_WHAT} holds more than one picture; midtread reads single ones: split it first")


def _ascii(data: bytes, layout: _Layout) -> np.ndarray:
    shape = layout.header.shape
    count = int(np.prod(shape, dtype=np.int64))
    body = re.sub(rb"#[^\n\r]*", b"", data[layout.header.offset :])
    if layout.kind == b"P1":  # its digits need no blanks between them
        digits = body.translate(None, b" \t\r\n\v\f")
        words = np.frombuffer(digits, np.uint8)[:count] - np.uint8(48)
    else:
        try:
            words = np.array(body.split(None, count)[:count], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise BitstreamError(f"{_WHAT}: a sample is not a whole number: {error}") from error
    if len(words) < count:
        raise TruncatedError(f"{_WHAT} has {len(words)} samples, {count} are needed")
    if count and not 0 <= words.min() <= words.max() <= layout.maxval:
        raise BitstreamError(
            f"{_WHAT}: its samples reach from {words.min()} to {words.max()}, not 0 to {layout.maxval}"
        )
    return words.reshape(shape).astype(np.uint16 if layout.maxval > 255 else np.uint8)


def _stretch(x: np.ndarray, maxval: int) -> np.ndarray:
    """Samples of white `maxval` at full scale."""
    white = int(np.iinfo(x.dtype).max)
    if maxval == white:
        return x
    if maxval & (maxval + 1) == 0:
        return to_full_scale(x, maxval.bit_length())
    wide = np.minimum(x.astype(np.int64), maxval)
    return ((2 * white * wide + maxval) // (2 * maxval)).astype(x.dtype)


def encode(x: np.ndarray, suffix: str = ".pnm") -> bytes:
    """PGM, PPM, PAM (with alpha) or PFM (float32), whichever fits; UsageError when `suffix` asks for another."""
    channels = x.shape[2] if x.ndim == 3 else 1
    fits = ".pfm" if x.dtype.kind == "f" else {1: ".pgm", 3: ".ppm"}.get(channels, ".pam")
    if suffix not in (fits, ".pnm", ".pam") or (suffix == ".pam" and fits == ".pfm"):
        raise UsageError(f"a {suffix} file cannot hold {x.dtype.name} samples of {channels} channels; use {fits}")
    height, width = x.shape[:2]
    if fits == ".pfm":
        if channels not in (1, 3):
            raise UsageError(f"a .pfm file holds gray or RGB, not {channels} channels; use .exr, .tiff or .npy")
        kind = "PF" if channels == 3 else "Pf"
        return f"{kind}\n{width} {height}\n-1.0\n".encode() + x[::-1].astype("<f4").tobytes()
    white = int(np.iinfo(x.dtype).max)
    body = x.astype(x.dtype.newbyteorder(">")).tobytes()
    if fits == ".pam" or suffix == ".pam":
        names = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}
        head = f"WIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {white}\nTUPLTYPE {names[channels]}\nENDHDR\n"
        return b"P7\n" + head.encode() + body
    return f"P{6 if channels == 3 else 5}\n{width} {height}\n{white}\n".encode() + body
