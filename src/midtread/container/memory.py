"""Large results in large pages: touching fresh small ones takes as long as encoding a good part of what goes there."""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Iterable

_LARGE = 1 << 25  # bytes; the allocator keeps smaller blocks for reuse, at least in glibc
_PAGE = 1 << 12
_MADV_HUGEPAGE = 14  # Linux, madvise(2)


def join(parts: Iterable[bytes | memoryview], room: int) -> bytes:
    """The parts, one after the other; each is copied as soon as it comes, so that a generator may reuse its memory.

    Args:
        parts: what to join.
        room: bytes that they have together at most; more is allowed, but takes longer.
    """
    if room < _LARGE:
        return b"".join(map(bytes, parts))
    file = io.BytesIO(bytes(room))  # zeros that are not touched yet; the only reference, so that nothing is copied
    _ask_for_large_pages(file)
    for part in parts:
        file.write(part)
    file.truncate()
    return file.getvalue()


def _ask_for_large_pages(file: io.BytesIO) -> None:
    """A wish; where the system has no such pages or grants none, the file is the same."""
    if sys.platform != "linux":
        return
    with file.getbuffer() as view:
        start, size = ctypes.addressof(ctypes.c_char.from_buffer(view)), len(view)
    skip = -start % _PAGE
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start + skip), ctypes.c_size_t(size - skip), _MADV_HUGEPAGE)
