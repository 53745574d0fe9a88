"""What lossless `wavelet` files do for pictures that are no photographs: few values, and much that repeats."""

from __future__ import annotations

import math

import numpy as np
import zstandard

from midtread.container import Reader, varint
from midtread.errors import BitstreamError

_MOST_VALUES = 65536
_REPEATS = 0.6  # of the samples equal their left or upper neighbour: photographs have 0.5 at most
LEVELS_OF_ZSTD = (6, 9, 19)  # by effort


def values_of(x: np.ndarray) -> np.ndarray | None:
    """The values that occur, ascending, when they are at most an eighth of those between the ends; else None.

    With more of them, the gaps are noise: numbers of values would be less smooth than the samples.
    """
    most = (int(x.max()) - int(x.min()) + 1) // 8
    if np.unique(x.reshape(-1)[:: max(x.size // 4096, 1)]).size > most:  # enough to know it of nearly all pictures
        return None
    values = np.unique(x)
    return values.astype(np.int64) if values.size <= most else None


def to_ranks(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Samples as numbers of their values, uint8 where these are 256 at most."""
    rank = np.zeros(np.iinfo(x.dtype).max + 1, np.uint8 if values.size <= 256 else np.uint16)
    rank[values] = np.arange(values.size)
    return rank[x]


def from_ranks(ranks: np.ndarray, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Undo `to_ranks`; numbers beyond the last value (of files that were cut) stand for it."""
    return values.astype(dtype)[np.minimum(ranks, values.size - 1)]


def write_values(values: np.ndarray | None) -> bytes:
    """Varint number of values (0: all occur), then the first one and the gaps between them."""
    if values is None:
        return varint(0)
    return varint(values.size) + b"".join(varint(int(gap)) for gap in np.diff(values, prepend=0))


def read_values(reader: Reader, largest: int) -> np.ndarray | None:
    """What `write_values` wrote. Raises BitstreamError."""
    count = reader.varint("number of values", at_most=_MOST_VALUES)
    if count == 0:
        return None
    values = np.cumsum([reader.varint(f"value {i}", at_most=largest) for i in range(count)])
    if values[-1] > largest or (np.diff(values) <= 0).any():
        raise BitstreamError(f"the {count} values of this picture do not ascend to {largest} at most")
    return values


def repeats(x: np.ndarray) -> bool:
    """Whether a picture is likely to shrink more by what repeats in it than by its smoothness."""
    if min(x.shape[:2]) < 2:
        return False
    here, above = x[1::8], x[:-1:8]
    same = (here[:, 1:] == here[:, :-1]) | (here[:, 1:] == above[:, 1:])
    return float(same.mean()) > _REPEATS


def squeeze(x: np.ndarray, effort: int) -> bytes:
    """The samples, little-endian, row by row, as a zstd frame."""
    data = x.astype(x.dtype.newbyteorder("<")).tobytes()
    return zstandard.ZstdCompressor(level=LEVELS_OF_ZSTD[effort]).compress(data)


def unsqueeze(data: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What `squeeze` wrote. Raises BitstreamError."""
    size = math.prod(shape) * dtype.itemsize
    try:
        if zstandard.frame_content_size(data) != size:
            raise BitstreamError(f"the zstd frame of this picture does not have its {size} bytes")
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BitstreamError(f"the zstd frame of this picture is damaged: {error}") from error
    if len(raw) != size:
        raise BitstreamError(f"the zstd frame of this picture holds {len(raw)} bytes, not {size}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
