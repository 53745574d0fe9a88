"""Decoding canonical prefix codes, compiled; `huffman_slow` says what it does, and is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from midtread.kernels.huffman_slow import LONGEST, RAW
from midtread.kernels.jit import inlined, int64, jit, uint32, uint64


@inlined
def _peek(data: Any, at: Any) -> Any:
    """The 32 bits at bit `at`."""
    first, held = at >> uint64(3), uint64(0)
    for k in range(5):
        held = (held << uint64(8)) | uint64(data[first + uint64(k)])
    return (held >> (uint64(8) - (at & uint64(7)))) & uint64(0xFFFFFFFF)


@jit
def _lookup(limit: np.ndarray, bits: int) -> np.ndarray:
    """uint8 [T, 2**bits]: length of the code that begins with these bits, 255 when it is longer than `bits`."""
    fast = np.empty((limit.shape[0], 1 << bits), np.uint8)
    for t in range(fast.shape[0]):
        for start in range(fast.shape[1]):
            code, length = uint64(start) << uint64(32 - bits), 0
            while length <= bits and code >= limit[t, length]:
                length += 1
            fast[t, start] = length if length <= bits else 255
    return fast


@jit
def decode(
    data: np.ndarray, places: np.ndarray, raw: np.ndarray, indices: np.ndarray | None, escapes: np.ndarray,
    limit: np.ndarray, first: np.ndarray, order: np.ndarray, end: int,
) -> int:  # fmt: skip
    """Decode into `places` and `raw`; see `huffman_slow.decode`."""
    bits = 10 if limit.shape[0] <= 64 else 4  # looked up at once
    fast = _lookup(limit, bits)
    at, end = uint64(0), uint64(end)
    for i in range(places.size):
        t = uint64(0) if indices is None else uint64(indices[i])
        code = _peek(data, at)
        length = int64(fast[t, code >> uint64(32 - bits)])
        if length == 255:
            length = bits + 1
            while length <= LONGEST and code >= limit[t, length]:
                length += 1
        if length > LONGEST or at + uint64(length) > end:
            return -1
        place = order[first[t, length] + int64(code >> uint64(32 - length))]
        places[i] = place
        raw[i] = uint32(0)
        at += uint64(length)
        if place == escapes[t]:
            if at + uint64(RAW) > end:
                return -1
            raw[i] = uint32(_peek(data, at))
            at += uint64(RAW)
    return int64(at)
