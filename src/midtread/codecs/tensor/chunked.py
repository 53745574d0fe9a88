"""Codecs of tensors as stores of chunked arrays (Zarr, numcodecs) want them: options as JSON, bounds with one meaning.

A store hands over an array chunk by chunk, often from several processes: no codec ever sees the whole of it.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from midtread.entropy.loading import expecting
from midtread.errors import UsageError
from midtread.spec import Codec, open_codec

_OF_THIS_PROCESS = ("threads",)  # how a machine does its work is no property of the array


def open_for_chunks(name: str, options: dict[str, Any]) -> Codec:
    """A codec by name whose options mean the same in every chunk.

    Raises:
        UsageError: an unknown option or value; a goal that every chunk would read in another way, such as
            `max_error_of_range`; another device: chunks come from the memory of the host.
    """
    codec = open_codec(name, **options)
    if getattr(codec, "device", "cpu") != "cpu":
        raise UsageError(f"codec {name!r} takes chunks of a store from the memory of the host; leave device='cpu'")
    if not codec.lossless and all(getattr(codec, bound, None) is None for bound in ("max_error", "max_error_of_value")):
        given = ", ".join(f"{key}={value}" for key, value in options.items()) or "no option"
        raise UsageError(
            f"codec {name!r} with {given}: chunks are coded one by one, so a bound relative to the range, or a target "
            "for size or quality, would be another one in each chunk; give max_error in the units of the data, as in "
            f"max_error=1e-3 * float(x.max() - x.min()), or max_error_of_value, or max_error=0 to keep every bit"
        )
    return codec


def stored_options(codec: Codec) -> dict[str, Any]:
    """What of a codec's options belongs into the metadata of an array, ready for JSON: all that are not the default."""
    options = {}
    for field in dataclasses.fields(codec):  # type: ignore[arg-type]
        value = getattr(codec, field.name)
        if field.name not in _OF_THIS_PROCESS and value != field.default:
            options[field.name] = value.item() if isinstance(value, np.generic) else value
    return options


_coded = 0  # values of all chunks that this process has coded
_KEPT_BYTES = 2**25 - 2**13  # what glibc maps for this is just below the largest size its threshold follows


def one_of_many(values: int) -> AbstractContextManager[None]:
    """A chunk of so many values is coded inside, in this thread, and more may follow.

    A small one alone is not worth loading the compiled kernels: they are loaded once all that came so far would have
    been worth it. Stores code in threads; there glibc gives memory of a chunk's size back at once, and fresh pages for
    the next chunk cost half as much as the codec. After it has freed a mapped block, it keeps others up to that size.
    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    global _coded
    if not _coded:
        np.empty(_KEPT_BYTES, np.uint8)  # never touched, freed at once
    _coded += values
    return expecting(_coded)
