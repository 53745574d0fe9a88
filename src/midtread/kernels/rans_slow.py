"""rANS in plain Python: the definition that `rans` repeats faster, and what short streams use.

    encode (backwards)   x >= f << (63 - precision):  move the low 32 bits out, x >>= 32
                         x -> (x // f) << precision | x % f + start
    decode (forwards)    slot = x mod 2**precision names the symbol;  x -> f * (x >> precision) + slot - start
                         x < 2**31 and words are left:  x -> x << 32 | next word

start and f are the symbol's place in [0, 2**precision) and its width there. Symbol i belongs to lane i mod (number of
lanes); lanes share one list of words. A symbol that its table lacks is coded as the table's escape, followed by its
zigzag value in bytes of 7 bits, lowest first, high bit set when more follow, each of probability 1/256.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import cycle, repeat

import numpy as np

from midtread.kernels.packed import Packed, escape_bytes

LOWEST = 1 << 31


def encode(
    symbols: np.ndarray, indices: np.ndarray | None, packed: Packed, first: int, states: np.ndarray,
    words: np.ndarray, q: int,
) -> int:  # fmt: skip
    """Encode `symbols`, last to first, in front of words[q:].

    Args:
        symbols: int32 [n].
        indices: unsigned [n], the table of each symbol; None when there is one table.
        packed: the tables.
        first: number of symbols[0] in its chunk; decides its lane.
        states: uint64 [lanes], lanes 1 or 4; updated.
        words: uint32; at least 2 n free before q.
        q: where the words begin.

    Returns:
        Where the words begin now.
    """
    precision, lanes = packed.precision, states.tolist()
    tables = np.zeros(symbols.size, dtype=np.int64) if indices is None else indices
    base, size = packed.base[tables].astype(np.int64), packed.size[tables].astype(np.int64)
    k = symbols.astype(np.int64) - packed.low[tables]
    at = base + np.where((k >= 0) & (k < size), k, size)
    escaped = packed.cumulative[at] == packed.cumulative[at + 1]
    at[escaped] = (base + size)[escaped]
    escaped |= at == base + size
    starts = packed.cumulative[at].tolist()
    frequencies = (packed.cumulative[at + 1] - packed.cumulative[at]).tolist()
    out, many = [], len(lanes)
    escapes = {int(i): escape_bytes(int(symbols[i])) for i in np.flatnonzero(escaped)}
    for i in range(symbols.size - 1, -1, -1):
        lane = (first + i) % many
        x = lanes[lane]
        if i in escapes:
            for byte in reversed(escapes[i]):
                if x >= 1 << 55:
                    out.append(x & 0xFFFFFFFF)
                    x >>= 32
                x = x << 8 | byte
        f = frequencies[i]
        if x >= f << (63 - precision):
            out.append(x & 0xFFFFFFFF)
            x >>= 32
        lanes[lane] = (x // f << precision) + x % f + starts[i]
    states[:] = lanes
    words[q - len(out) : q] = out[::-1]
    return q - len(out)


def decode(
    out: np.ndarray, indices: np.ndarray | None, packed: Packed, first: int, states: np.ndarray,
    words: np.ndarray, p: int, end: int,
) -> int:  # fmt: skip
    """Decode into `out`, reading words[p:end].

    Args:
        out: int32 [n], filled.
        indices: unsigned [n] or None.
        packed: the tables.
        first: number of out[0] in its chunk.
        states: uint64 [lanes]; updated.
        words: uint32.
        p: next word to read.
        end: where the words of this stream end.

    Returns:
        The next word to read, or -1: an escape that is no int32.
    """
    precision, lanes, words = packed.precision, states.tolist(), words[:end].tolist()
    mask, many = (1 << packed.precision) - 1, len(lanes)
    starts, ends = packed.cumulative[:-1].tolist(), packed.cumulative[1:].tolist()
    frequencies = np.diff(packed.cumulative.astype(np.int64)).tolist()
    bases, escapes = packed.base.tolist(), (packed.base.astype(np.int64) + packed.size).tolist()
    tables = repeat(0, out.size) if indices is None else indices.tolist()
    places, escaped = [], {}
    for lane, t in zip(cycle([(first + i) % many for i in range(many)]), tables, strict=False):
        x = lanes[lane]
        slot = x & mask
        at = bisect_right(ends, slot, bases[t], escapes[t])
        places.append(at)
        x = frequencies[at] * (x >> precision) + slot - starts[at]
        if x < LOWEST and p < end:
            x = x << 32 | words[p]
            p += 1
        if at == escapes[t]:
            zigzag = shift = 0
            more = 128
            while more:
                if shift == 35:
                    return -1
                zigzag |= (x & 127) << shift
                more = x & 128
                x >>= 8
                shift += 7
                if x < LOWEST and p < end:
                    x = x << 32 | words[p]
                    p += 1
            if zigzag >= 1 << 32:
                return -1
            escaped[len(places) - 1] = zigzag >> 1 ^ -(zigzag & 1)
        lanes[lane] = x
    states[:] = lanes
    out[:] = packed.value[places]
    out[list(escaped)] = list(escaped.values())
    return p
