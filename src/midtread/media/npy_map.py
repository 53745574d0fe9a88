"""NPY files as memory maps to be filled: for arrays that do not fit into memory."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from midtread.errors import UsageError
from midtread.media.atomic import refusal


def _claim(path: Path) -> None:
    """Have the disk set its space aside: a full disk ends a process that writes into a map."""
    if hasattr(os, "posix_fallocate") and (size := path.stat().st_size):
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)


@contextmanager
def new_npy(path: str | os.PathLike[str], shape: tuple[int, ...], dtype: np.dtype) -> Iterator[np.ndarray]:
    """An array in a temporary file beside `path`, which takes its place once the block has filled it.

    Whatever goes wrong, an old file stays as it was and nothing is left over.

    Raises:
        UsageError, StorageError: no file can be written at this path; the message says why.
    """
    target = Path(os.path.realpath(path))
    if dtype.kind == "V" or target.is_dir():
        what = f"an NPY file cannot hold {dtype}" if dtype.kind == "V" else f"cannot write {path}: it is a folder"
        raise UsageError(f"{what}; {'view it as uint16' if dtype.kind == 'V' else 'give the path of a file in it'}")
    temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            x = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
            _claim(temporary)
        except OSError as error:
            raise refusal(path, target, error) from error
        yield x
        x.flush()
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
