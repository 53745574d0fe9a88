"""Layers of Gaussians, compiled: the source is `splat_layer_slow`, the columns are those of `splat_coder`."""

from __future__ import annotations

from types import FunctionType
from typing import Any

from midtread.kernels.jit import inlined, jit
from midtread.kernels.splat_coder import (
    angles,
    cells,
    finish,
    finished,
    length,
    magnitudes,
    order,
    shares,
    signs,
    start,
    uniform,
)
from midtread.kernels.splat_counts import factors, places, precision, turns
from midtread.kernels.splat_layer_slow import read as _source

__all__ = ["dequantize", "order", "read", "write"]

# What the functions see by their names: all that the slow ones see, and compiled functions in place of slow ones.
_seen: dict[str, Any] = dict(_source.__globals__, __name__=__name__)
for _compiled in (angles, cells, finish, finished, length, magnitudes, order, shares, signs, start, uniform):
    _seen[_compiled.__name__] = _compiled
for _small in (factors, places, precision, turns):
    _seen[_small.__name__] = inlined(_small)
for _name, _slow in list(_seen.items()):
    if isinstance(_slow, FunctionType) and _slow.__module__ == _source.__module__:
        _again = FunctionType(_slow.__code__, _seen, _name)
        _seen[_name] = _again if _name in ("read", "write") else jit(_again)  # these two only call others
dequantize, read, write = _seen["dequantize"], _seen["read"], _seen["write"]
