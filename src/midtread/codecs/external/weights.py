"""Weights of other people's learned codecs: where they lie, which ones they are; fetched only when somebody said so.

    option `weights`   a file or folder of the user's
    otherwise          MIDTREAD_WEIGHTS/<codec>, by default ~/.cache/midtread/weights/<codec>, then the library's cache
    download=True      then the library's own address; MIDTREAD_DOWNLOAD=1 does the same where no option can be given

A file names its weights by 8 bytes of SHA-256 over tensors, not over the file that held them: a checkpoint that was
only saved in another format is the same one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from midtread.errors import BitstreamError, UsageError
from midtread.metrics.learned import weights_folder

MARK_BYTES = 8
DOWNLOAD = "MIDTREAD_DOWNLOAD"


def place_of(codec: str, weights: str) -> Path:
    """The file or folder in which to look. Raises UsageError when the one that was asked for is not there."""
    if not weights:
        return weights_folder() / codec
    path = Path(weights).expanduser()
    if not path.exists():
        raise UsageError(f"codec {codec!r}: weights={weights!r} is neither a file nor a folder here")
    return path


def may_download(option: bool) -> bool:
    """Whether the user allows it, by option or by environment variable."""
    return option or os.environ.get(DOWNLOAD, "") not in ("", "0")


def mark(tensors: Mapping[str, Any]) -> bytes:
    """8 bytes that stand for named torch tensors: names, dtypes, shapes and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.digest()[:MARK_BYTES]


def check_mark(codec: str, stored: bytes, found: bytes, source: object) -> None:
    """Raise BitstreamError unless the file was made with the weights that were found."""
    if stored != found:
        raise BitstreamError(
            f"this {codec} file was made with weights {stored.hex()}, those of {source} are {found.hex()}; "
            f"put the others there, or name them with option weights"
        )
