"""Scalar quantizers over flat arrays. `quantize_slow` defines them."""

import numpy as np

from midtread.kernels.jit import inlined, jit


@jit
def _largest_bits(bits: np.ndarray) -> np.int32:
    top = np.int32(0)
    for i in range(bits.size):
        top = max(top, np.int32(bits[i] & np.int32(0x7FFFFFFF)))
    return top


def largest(z: np.ndarray) -> float:
    """The largest |z| of float32 samples; infinity or NaN when any sample is."""
    # The bits of |z| order as |z| does, with infinity and NaN above; integers are compared many at a time.
    return float(np.array(_largest_bits(z.view(np.int32)), np.int32).view(np.float32))


@jit
def uniform(z: np.ndarray, symbols: np.ndarray, inverse_step: np.float32) -> None:
    """Symbols = z * inverse_step, rounded to nearest, ties to even."""
    for i in range(z.size):
        symbols[i] = np.int32(np.rint(z[i] * inverse_step))


@jit
def dead_zone(z: np.ndarray, symbols: np.ndarray, inverse_step: np.float32, rounding: np.float32) -> None:
    """|symbols| = floor(|z| * inverse_step + rounding), with the sign of z."""
    for i in range(z.size):
        size = np.int32(np.floor(abs(z[i]) * inverse_step + rounding))
        symbols[i] = -size if z[i] < 0 else size


@jit
def restore(symbols: np.ndarray, z: np.ndarray, step: np.float32, shift: np.float32) -> None:
    """|z| = (|symbols| + shift) * step, with the sign of the symbol; 0 stays 0."""
    for i in range(z.size):
        symbol = symbols[i]
        size = (np.float32(abs(np.int64(symbol))) + shift) * step
        signed = -size if symbol < 0 else size
        z[i] = np.float32(0) if symbol == 0 else signed


@jit
def restore_cells(
    symbols: np.ndarray, z: np.ndarray, width: int, bias: int, offsets: np.ndarray, step: np.float32
) -> None:
    """|z| = (cell * width + offsets[cell]) * step, cell = (|symbols| + bias) // width, with the sign of the symbol."""
    last = offsets.size - 1
    for i in range(z.size):
        size = abs(np.int64(symbols[i])) + bias
        if size < width:
            z[i] = 0
            continue
        cell = size // width
        offset = offsets[cell if cell < last else last]
        value = (np.float32(cell * width) + offset) * step
        z[i] = -value if symbols[i] < 0 else value


@jit
def search(z: np.ndarray, symbols: np.ndarray, thresholds: np.ndarray) -> None:
    """Symbols = how many of the sorted thresholds float32 are at most z."""
    few = thresholds.size <= 64
    for start in range(0, z.size, 4096):  # counting them all is vector code, and beats halving while they are few
        part, out = z[start : start + 4096], symbols[start : start + 4096]
        for i in range(part.size):
            out[i] = 0 if few else np.searchsorted(thresholds, part[i], side="right")
        for t in range(thresholds.size if few else 0):
            threshold = thresholds[t]
            for i in range(part.size):
                out[i] += np.int32(threshold <= part[i])


@inlined
def _cost(a: np.float32, k: int, row: np.ndarray, shift: np.float32, slope: np.float32) -> np.float32:
    last = row.size - 1
    inside = min(k, last)
    rate = row[inside] + (row[last] - row[last - 1]) * np.float32(k - inside)
    error = a - (np.float32(k) + shift if k > 0 else np.float32(0))
    return error * error + slope * rate


@jit
def cheapest(
    z: np.ndarray,
    symbols: np.ndarray,
    classes: np.ndarray,
    bits: np.ndarray,
    inverse_step: np.float32,
    shift: np.float32,
    slope: np.float32,
) -> None:
    """The nearest symbol, the next towards 0, or 0: the one whose squared error + slope * bits is least."""
    for i in range(z.size):
        a = abs(z[i]) * inverse_step
        best = np.int32(np.rint(a))
        if best > 0:
            row = bits[classes[i]]
            least = _cost(a, best, row, shift, slope)
            nearest = best
            for candidate in (nearest - 1, 0):
                price = _cost(a, candidate, row, shift, slope)
                if price < least:
                    best, least = np.int32(candidate), price
        symbols[i] = -best if z[i] < 0 else best
