"""Decoding canonical prefix codes, in plain Python: the definition of `huffman`, and what short streams use.

Codes of table t, written as fractions of 2**32, grow with their length: those of length l are below limit[t, l], and
the code c of length l is the place order[first[t, l] + (c >> 32 - l)], counted modulo 2**32.
"""

from __future__ import annotations

import numpy as np

LONGEST = 25  # bits of a code
RAW = 32  # bits after an escape


def decode(
    data: np.ndarray, places: np.ndarray, raw: np.ndarray, indices: np.ndarray | None, escapes: np.ndarray,
    limit: np.ndarray, first: np.ndarray, order: np.ndarray, end: int,
) -> int:  # fmt: skip
    """Decode into `places` and `raw`.

    Args:
        data: uint8, with 8 more bytes after the last that is needed.
        places: uint32 [n], filled: place of each symbol in the packed tables.
        raw: uint32 [n], filled: the bits after an escape, else 0.
        indices: unsigned [n] or None.
        escapes: uint32 [T], place of each table's escape.
        limit: uint64 [T, LONGEST + 1].
        first: int64 [T, LONGEST + 1].
        order: uint32, places in the order of their codes.
        end: bits that there are.

    Returns:
        Bits used, or -1: there is no such code, or the data end before the symbols do.
    """
    whole, size, at = int.from_bytes(data.tobytes(), "big"), 8 * data.size, 0
    limits, firsts = limit.tolist(), first.tolist()
    tables = [0] * places.size if indices is None else indices.tolist()
    for i, t in enumerate(tables):
        code = whole >> size - at - 32 & 0xFFFFFFFF if at <= end else 0
        length = next((n for n, top in enumerate(limits[t]) if code < top), -1)
        if length < 0 or at + length > end:
            return -1
        places[i] = order[firsts[t][length] + (code >> 32 - length)]
        raw[i] = 0
        at += length
        if places[i] == escapes[t]:
            if at + RAW > end:
                return -1
            raw[i] = whole >> size - at - RAW & 0xFFFFFFFF
            at += RAW
    return at
