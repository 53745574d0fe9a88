"""exp, log and power in float64 from + - * / alone, so that every machine gets the same last bit.

IEEE 754 rounds those four (and comparisons, and scaling by powers of two) the same way everywhere; exp and log of the
C library or of NumPy's vector code differ between CPUs and versions, and one different bit in a table can cost a
stream. NumPy works operation by operation, so no compiler fuses a multiplication with an addition. Good to about 2e-16
times the argument's condition, which is far below what a table of 18 bits can show.
"""

from __future__ import annotations

import numpy as np

_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # 32 bits, so that k * _LN2_HIGH is exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")


def exp(x: np.ndarray) -> np.ndarray:
    """e**x, float64; 0 below -700, and x at most 700."""
    x = np.asarray(x, dtype=np.float64)
    k = np.floor(np.maximum(x, -745.0) * _LOG2_E + 0.5)
    r = (np.maximum(x, -745.0) - k * _LN2_HIGH) - k * _LN2_LOW  # |r| <= ln(2) / 2
    total = np.ones_like(r)
    for n in range(14, 0, -1):  # Taylor in Horner's form; 0.35**15 / 15! is 1e-19
        total = total * (r / float(n)) + 1.0
    return np.where(x < -700.0, 0.0, np.ldexp(total, k.astype(np.int64)))


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of positive float64."""
    mantissa, k = np.frexp(np.asarray(x, dtype=np.float64))
    small = mantissa < 0.70710678118654752
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    k = k.astype(np.float64) - np.where(small, 1.0, 0.0)
    s = (mantissa - 1.0) / (mantissa + 1.0)  # |s| <= 0.172
    square = s * s
    total = np.zeros_like(s)
    for n in range(23, 0, -2):  # 2 artanh(s) = 2 (s + s**3 / 3 + s**5 / 5 + ...)
        total = total * square + 1.0 / float(n)
    return k * _LN2_HIGH + (k * _LN2_LOW + 2.0 * s * total)


def power(x: np.ndarray, exponent: float) -> np.ndarray:
    """x**exponent for x >= 0 and exponent > 0, float64."""
    x = np.asarray(x, dtype=np.float64)
    return np.where(x > 0.0, exp(exponent * log(np.where(x > 0.0, x, 1.0))), 0.0)
