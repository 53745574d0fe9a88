"""Replace a file whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from midtread.errors import StorageError, UsageError

Data = bytes | bytearray | memoryview

_DISK = tuple(getattr(errno, name, -1) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO"))  # not the caller's mistake


def write_bytes(path: str | os.PathLike[str], data: Data) -> None:
    """Write `data` to `path`: see `write_pieces`."""
    write_pieces(path, (data,))


def write_pieces(path: str | os.PathLike[str], pieces: Iterable[Data]) -> int:
    """Write pieces one after the other to `path`: into a temporary file beside it, which then takes its place.

    Whatever goes wrong (full disk, no permission, an interrupt), an old file stays as it was and nothing is left over.
    A device or pipe such as /dev/stdout is written to directly.

    Returns:
        Bytes that were written.

    Raises:
        UsageError: no file can be written at this path; the message says why.
        StorageError: the disk is full, over a quota or broken.
    """
    target = Path(os.path.realpath(path))  # through symbolic links, so that they survive
    try:
        mode = os.stat(target).st_mode if os.path.exists(target) else None
        if mode is not None and stat.S_ISDIR(mode):
            raise UsageError(f"cannot write {os.fspath(path)}: it is a folder; give the path of a file in it")
        if mode is not None and not stat.S_ISREG(mode):
            return _write(os.open(target, os.O_WRONLY), pieces)
        temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            size = _write(handle, pieces)
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, target)
            return size
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise refusal(path, target, error) from error


def refusal(path: str | os.PathLike[str], target: Path, error: OSError) -> UsageError | StorageError:
    """What to say of an error of the system on the way to `target`, which `path` stands for."""
    old = "; the file that is there was not touched" if os.path.isfile(target) else ""
    kind = StorageError if error.errno in _DISK else UsageError
    return kind(f"cannot write {os.fspath(path)}: {error.strerror or error}{old}")


def _write(handle: int, pieces: Iterable[Data]) -> int:
    size = 0
    try:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            size += len(view)
            while len(view):
                view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
    return size
