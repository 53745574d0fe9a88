"""What must hold for any bytes at all: decoding them ends in an array or in one of our errors. Also an atheris target.

pip install atheris
python fuzz/seeds.py fuzz/corpus && python fuzz/decode.py fuzz/corpus -max_total_time=600 -rss_limit_mb=4096
"""

from __future__ import annotations

import sys

import numpy as np

import midtread
from midtread.errors import CodecError, MissingError, UsageError

LIMITS = midtread.Limits(max_elements=2**20, max_chunks=64)


class BrokenPromise(Exception):
    """A promise of `midtread.decode` was not kept."""


def check(data: bytes) -> str:
    """Decode `data`; "decoded", or the name of our error. Anything else escapes and is a bug."""
    try:
        facts = midtread.info(data, limits=LIMITS)
    except CodecError as error:
        _blame_the_bytes(error)
        facts = None
    try:
        x = midtread.decode(data, limits=LIMITS)
    except CodecError as error:
        _blame_the_bytes(error)
        return type(error).__name__
    if not isinstance(x, np.ndarray) or x.size > LIMITS.max_elements:
        raise BrokenPromise(f"decode gave {type(x).__name__} of {getattr(x, 'shape', None)} under {LIMITS}")
    if facts is None:
        raise BrokenPromise("info refuses what decode takes")
    sides = facts["shape"][:2] if "shape" in facts else [facts["height"], facts["width"]]
    if sorted(sides) != sorted(x.shape[:2]):  # sorted: a native picture may have been turned upright
        raise BrokenPromise(f"info says {facts}, decode gave {x.dtype} {list(x.shape)}")
    if "shape" in facts and (facts["shape"], facts["dtype"]) != (list(x.shape), x.dtype.name):
        raise BrokenPromise(f"info says {facts['dtype']} {facts['shape']}, decode gave {x.dtype} {list(x.shape)}")
    return "decoded"


def _blame_the_bytes(error: CodecError) -> None:
    """Bad bytes are never the caller's fault; only a backend that is not installed is not theirs either."""
    if isinstance(error, UsageError) and not isinstance(error, MissingError):
        raise BrokenPromise(f"bad bytes raised {type(error).__name__}: {error}") from error


def TestOneInput(data: bytes) -> None:
    """The entry point that atheris calls."""
    check(data)


def main() -> None:
    """Fuzz with atheris until stopped."""
    import atheris

    midtread.decode, midtread.info  # noqa: B018  # loads the modules behind them, which would else not be instrumented
    atheris.instrument_all()
    atheris.Setup(sys.argv, TestOneInput)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
