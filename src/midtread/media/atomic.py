"""Replace a file whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from midtread.errors import StorageError, UsageError

_DISK = tuple(getattr(errno, name, -1) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO"))  # not the caller's mistake


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Write `data` to `path`: into a temporary file beside it, which then takes its place.

    Whatever goes wrong (full disk, no permission, an interrupt), an old file stays as it was and nothing is left over.
    A device or pipe such as /dev/stdout is written to directly.

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
            _write(os.open(target, os.O_WRONLY), data)
            return
        temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _write(handle, data)
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        old = "; the file that is there was not touched" if os.path.isfile(target) else ""
        kind = StorageError if error.errno in _DISK else UsageError
        raise kind(f"cannot write {os.fspath(path)}: {error.strerror or error}{old}") from error


def _write(handle: int, data: bytes | bytearray | memoryview) -> None:
    try:
        view = memoryview(data).cast("B")
        while len(view):
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
