"""What every wrapped library shares: decoding through `media`, thread counts, versions, and errors in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from midtread import media
from midtread.errors import CodecError, UsageError
from midtread.spec import Codec, stage


class NativeCodec(Codec):
    """A codec whose files are a known format; `media`, which opens anybody's files, opens ours too."""

    def check(self, x: np.ndarray) -> np.ndarray:
        """As for every codec; and with textbook strides, which imagecodecs insists on.

        NumPy lets the strides of axes of length 1 be anything: a slice of one pixel counts as contiguous to it.
        """
        x = super().check(x)
        return x if x.strides == np.empty(x.shape, x.dtype).strides else x.copy()

    def decode(self, data: bytes) -> np.ndarray:
        """Decompress a file of this format, whoever wrote it. Raises BitstreamError or LimitError."""
        assert self.native is not None
        with stage("decode"):
            return media.decode(self.native, data)


def cpus() -> int:
    """CPUs this process may use; the bench pins a codec by shrinking this set."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def imagecodecs_backend(call: str) -> str:
    """Library and version behind `imagecodecs.<call>_encode`, as in 'libwebp 1.6.0 (imagecodecs 2026.3.6)'."""
    import imagecodecs

    library = getattr(imagecodecs, f"{call}_version")()
    return f"{library} (imagecodecs {imagecodecs.__version__})"


def check_sides(codec: str, x: np.ndarray, most: int) -> None:
    """Raise UsageError when a side of `x` is longer than the format can write down."""
    if max(x.shape[:2]) > most:
        raise UsageError(
            f"codec {codec!r} takes sides up to {most} pixels, got {x.shape[0]} x {x.shape[1]}; "
            "cut the picture into tiles or use codec 'jpegxl'"
        )


@contextmanager
def encoding(codec: str) -> Iterator[None]:
    """The stage "encode"; whatever the library raises in it becomes a UsageError."""
    with stage("encode"):
        try:
            yield
        except (CodecError, MemoryError):
            raise
        except Exception as error:
            raise UsageError(f"codec {codec!r}: the library refuses this picture: {error}") from error
