"""Which way up: the orientation in an Exif block, and turning the samples so that it is 1.

Source: Exif 2.32 (CIPA DC-008), tag 0x0112; JEITA's numbering of the eight positions.
"""

from __future__ import annotations

import numpy as np

from midtread.errors import BitstreamError, LimitError
from midtread.media.ifd import ORIENTATION, Directories, Entry

PREFIX = b"Exif\0\0"  # in front of the TIFF structure in JPEG's APP1, and by habit of some writers elsewhere


def without_prefix(block: bytes) -> bytes:
    """The TIFF structure alone."""
    return block[len(PREFIX) :] if block.startswith(PREFIX) else block


def orientation(block: bytes) -> int:
    """The orientation that `block` states; 1 when it states none, or is too damaged to tell."""
    found = _find(block)
    return found[1] if found else 1


def upright(block: bytes) -> bytes:
    """`block` with its orientation, when it has one, set to 1."""
    found = _find(block)
    if not found:
        return block
    entry, _, big_endian = found
    width = 2 if entry.kind == 3 else 4
    value = (1).to_bytes(width, "big" if big_endian else "little")
    return block[: entry.offset] + value + block[entry.offset + width :]


def _find(block: bytes) -> tuple[Entry, int, bool] | None:
    try:
        directories = Directories(block, "this Exif block")
        entry = directories.directory(directories.first)[0].get(ORIENTATION)
        if entry is None or entry.count != 1 or entry.kind not in (3, 4):
            return None
        value = directories.ints(entry, "orientation", (1,))[0]
    except (BitstreamError, LimitError):  # a damaged block is carried as it is: the picture itself may be whole
        return None
    return (entry, value, directories.big_endian) if 1 <= value <= 8 else None


def turn(x: np.ndarray, orientation: int) -> np.ndarray:
    """The samples the right way up, contiguous; `x` itself for orientation 1."""
    if orientation == 1:
        return x
    if orientation >= 5:
        x = x.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        x = x[:, ::-1]
    if orientation in (3, 4, 7, 8):
        x = x[::-1]
    return np.ascontiguousarray(x)
