"""numcodecs, and with it Zarr format 2: chunks are midtread files, with a bound on the error of every value.

    z = zarr.create_array("rho.zarr", shape=x.shape, dtype=x.dtype, chunks=(128, 128, 128), zarr_format=2,
                          compressors=midtread.numcodecs.Field(max_error=0.01))

Readers need midtread installed, not imported. A chunk in Fortran order is stored transposed, as numcodecs does it. Zarr
itself merges a write to a part of a chunk with what is there: values coded twice may be twice as far off. Format 3
(`midtread.zarr`) refuses that, and reads parts of chunks.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ndarray_copy

from midtread import container
from midtread.codecs.tensor.chunked import one_of_many, open_for_chunks, stored_options
from midtread.errors import UsageError

__all__ = ["Field", "Floats"]


class _Codec(Codec):
    codec_name: ClassVar[str]

    def __init__(self, **options: Any) -> None:
        self.codec = open_for_chunks(self.codec_name, options)

    def encode(self, buf: np.ndarray) -> bytes:
        """An array -> a midtread file. Raises UsageError for bytes, and for numbers in foreign byte order."""
        if not isinstance(buf, np.ndarray):
            raise UsageError(
                f"{self.codec_id} takes arrays, got {type(buf).__name__}; it has to be the compressor, and filters "
                "before it have to leave arrays"
            )
        if not buf.dtype.isnative:  # Zarr 2 would read what comes back as if it still had its old order
            raise UsageError(
                f"{self.codec_id} takes numbers in native byte order, got {buf.dtype.str}; convert the array with "
                "x.astype(x.dtype.newbyteorder('='))"
            )
        with one_of_many(buf.size):
            return self.codec.encode(buf.T if buf.flags.f_contiguous and not buf.flags.c_contiguous else buf)

    def decode(self, buf: Any, out: np.ndarray | None = None) -> np.ndarray:
        """A midtread file -> the array, or `out` filled with it. Raises BitstreamError or LimitError."""
        data = bytes(buf)
        with one_of_many(math.prod(container.read_header(data).shape)):
            x = self.codec.decode(data)
        return x if out is None else ndarray_copy(x, out)

    def get_config(self) -> dict[str, Any]:
        """The name and the options, for the metadata of an array."""
        return {"id": self.codec_id, **stored_options(self.codec)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """What `get_config` described. Raises UsageError for unknown options and values."""
        return cls(**{key: value for key, value in config.items() if key != "id"})

    def __repr__(self) -> str:
        options = ", ".join(f"{key}={value!r}" for key, value in stored_options(self.codec).items())
        return f"midtread.numcodecs.{type(self).__name__}({options})"


class Field(_Codec):
    """Error-bounded: |x - decode(encode(x))| <= max_error for every value. Options as `midtread.zarr.Field`."""

    codec_id = "midtread.field"
    codec_name = "field"


class Floats(_Codec):
    """Lossless: every bit is kept."""

    codec_id = "midtread.floats"
    codec_name = "floats"
