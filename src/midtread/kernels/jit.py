"""How this room compiles: numba, without the GIL, cached on disk where a cache can be written."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.extending import intrinsic as _intrinsic

# Numba's own objects; Any, because the type checker takes what kernels do with them for NumPy scalars.
float32: Any = numba.float32
int8: Any = numba.int8
int16: Any = numba.int16
int32: Any = numba.int32
int64: Any = numba.int64
uint8: Any = numba.uint8
uint16: Any = numba.uint16
uint32: Any = numba.uint32
uint64: Any = numba.uint64
intrinsic: Any = _intrinsic

_FUSED = {"contract", "reassoc", "nsz"}  # a * b + c may be rounded once, sums reordered; NaN and infinity stay


@lru_cache
def _sources(name: str) -> str:
    """Digest of a kernel's file and of all that it takes from this room: numba looks at the one file only."""
    names, texts = [name], {}
    while names:
        if (name := names.pop()) not in texts:
            texts[name] = (Path(__file__).parent / f"{name}.py").read_text()
            names += re.findall(r"^from midtread\.kernels\.(\w+) import", texts[name], re.MULTILINE)
    return sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()


def jit(function: Callable[..., Any]) -> Any:
    """Compile on first call. Cached beside the source, in the user's cache or in NUMBA_CACHE_DIR; else not cached."""
    return _compile(function, fastmath=False)


def jit_fused(function: Callable[..., Any]) -> Any:
    """As `jit`, for float sums whose last bits are free: they may be fused and reordered."""
    return _compile(function, fastmath=_FUSED)


def _compile(function: Callable[..., Any], fastmath: Any) -> Any:
    try:
        compiled: Any = njit(nogil=True, error_model="numpy", cache=True, fastmath=fastmath)(function)
    except RuntimeError:  # numba found no folder it may write
        return njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    compiled._cache._cache_file._source_stamp = _sources(function.__module__.rpartition(".")[2])
    return compiled


def inlined_fused(function: Callable[..., Any]) -> Any:
    """The small steps of `jit_fused` loops."""
    return njit(nogil=True, error_model="numpy", forceinline=True, fastmath=_FUSED)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """For the small steps that a loop of another function is made of: no call remains."""
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)
