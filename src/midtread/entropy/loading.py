"""When a compiled kernel is worth loading: numba costs half a second to import and seconds to compile.

A short stream takes the slow twin, which writes the same bytes, unless the kernel it needs is loaded already, the
caller says that there will be many, or there have been so many that it would have paid.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from types import ModuleType

WORTH_COMPILING = 100_000  # symbols; the slow twins need about 0.5 us for one

_MANY = 10  # short streams come one by one: only so many times as many symbols show that more will come

_loaded: set[tuple[str, Hashable]] = set()
_met: dict[tuple[str, Hashable], int] = {}  # symbols that slow twins have coded so far
_expected: ContextVar[int] = ContextVar("midtread_expected_symbols", default=0)


_module = cache(import_module)  # asking the import system each time takes microseconds


@contextmanager
def expecting(symbols: int) -> Iterator[None]:
    """Streams coded inside, in this thread, are part of a job of so many symbols: the job pays for the kernel."""
    token = _expected.set(max(symbols, _expected.get()))
    try:
        yield
    finally:
        _expected.reset(token)


def kernel(name: str, symbols: int, types: Hashable = None) -> ModuleType:
    """`midtread.kernels.<name>`, or its slow twin `<name>_slow` when `symbols` do not pay for loading it.

    Args:
        name: of the module.
        symbols: how many will be coded.
        types: what numba compiles a version of its own for (dtypes of the arguments).
    """
    if (name, types) not in _loaded:
        _met[name, types] = met = _met.get((name, types), 0) + symbols
        if max(symbols, _expected.get(), met // _MANY) < WORTH_COMPILING:
            return _module(f"midtread.kernels.{name}_slow")
        _loaded.add((name, types))
    return _module(f"midtread.kernels.{name}")
