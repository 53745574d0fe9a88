"""Counting symbols, compiled; `field_counts_slow` says what it does, and is the definition."""

from __future__ import annotations

import numpy as np

from midtread.kernels.jit import int32, int64, jit, uint8, uint32, uint64


@jit
def histogram(symbols: np.ndarray, contexts: np.ndarray, stride: int, out: np.ndarray) -> None:
    """Magnitudes by context; see `field_counts_slow.histogram`."""
    most = int32(out.shape[1] - 1)
    for i in range(0, symbols.size, stride):
        s = symbols[i]
        out[uint64(contexts[i]), uint64(min(max(s, int32(-s)), most))] += uint32(1)


@jit
def tile_sums(symbols: np.ndarray, out: np.ndarray) -> None:
    """Sum of magnitudes of each 64 symbols; see `field_counts_slow.tile_sums`."""
    for tile in range(out.size):
        part, total = symbols[64 * tile : 64 * tile + 64], int64(0)
        for i in range(64):
            s = int64(part[i])
            total += max(s, -s)
        out[tile] = total


@jit
def unzigzag(residuals: np.ndarray, symbols: np.ndarray) -> None:
    """uint32 0, 1, 2, 3, 4 ... -> int32 0, -1, 1, -2, 2 ...; see `field_counts_slow.unzigzag`."""
    for i in range(residuals.size):
        r = residuals[i]
        symbols[i] = int32((r >> uint32(1)) ^ (~(r & uint32(1)) + uint32(1)))


@jit
def zigzag(symbols: np.ndarray, residuals: np.ndarray) -> None:
    """Undo `unzigzag`."""
    for i in range(symbols.size):
        residuals[i] = uint32((symbols[i] << int32(1)) ^ (symbols[i] >> int32(31)))


@jit
def quiet_tiles(contexts: np.ndarray, first: int, out: np.ndarray) -> int:
    """Which tiles have no other context than `first`; see `field_counts_slow.quiet_tiles`."""
    quiet = 0
    for tile in range(out.size):
        part, differs = contexts[64 * tile : 64 * tile + 64], uint8(0)
        for i in range(64):
            differs |= part[i] ^ uint8(first)
        out[tile] = uint8(differs == uint8(0))
        quiet += int64(out[tile])
    return quiet


@jit
def gather_tiles(values: np.ndarray, kept: np.ndarray, out: np.ndarray) -> int:
    """The values of the kept tiles and those behind the last tile; see `field_counts_slow.gather_tiles`."""
    count = 0
    for tile in range(kept.size):
        if kept[tile]:
            source, target = values[64 * tile : 64 * tile + 64], out[count : count + 64]
            for i in range(64):
                target[i] = source[i]
            count += 64
    for i in range(64 * kept.size, values.size):
        out[count] = values[i]
        count += 1
    return count


@jit
def scatter_tiles(values: np.ndarray, kept: np.ndarray, out: np.ndarray) -> None:
    """Undo `gather_tiles`, zeros in all other tiles."""
    count = 0
    for tile in range(kept.size):
        target = out[64 * tile : 64 * tile + 64]
        if kept[tile]:
            source = values[count : count + 64]
            for i in range(64):
                target[i] = source[i]
            count += 64
        else:
            for i in range(64):
                target[i] = 0
    for i in range(64 * kept.size, out.size):
        out[i] = values[count]
        count += 1


@jit
def translate(contexts: np.ndarray, table_of: np.ndarray, out: np.ndarray) -> None:
    """table_of[contexts]: uint8 [n]."""
    for i in range(contexts.size):
        out[i] = table_of[uint64(contexts[i])]
