"""What a record of a tensor holds beyond that of a picture: the bound, how it was kept, rates per value.

Every codec gets the same absolute bound. `max_error_of_range` in a plan is relative to max - min of the values that
count (`metrics.fields.reference`), so a fill value of 1e20 does not make it meaningless, and codecs need not agree on
what the range of a field is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from midtread.bench.records import Record
from midtread.metrics.fields import known, over_bound
from midtread.registry import CODECS


def options_for(codec: str, options: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    """The options that `open_codec` gets for this tensor: a bound relative to the range as an absolute one.

    Raises:
        UsageError: `x` has no range, see `metrics.fields.reference`.
    """
    takes = {field.name for field in dataclasses.fields(CODECS.get(codec))}
    relative = options.get("max_error_of_range")
    if relative is None or "max_error" not in takes or not (bound := relative * known(x).span):
        return options
    return {key: value for key, value in options.items() if key != "max_error_of_range"} | {"max_error": bound}


def rates(x: np.ndarray, size_bytes: int) -> Record:
    """Shape, and the size of a file per value and against the array in memory."""
    return {
        "shape": list(x.shape),
        "dtype": x.dtype.name,
        "values": x.size,
        "source_bytes": x.nbytes,
        "rate_bits_per_value": 8 * size_bytes / x.size if x.size else None,
        "ratio": x.nbytes / size_bytes,
    }


def kept_bound(x: np.ndarray, x_hat: np.ndarray, options: dict[str, Any]) -> Record:
    """The absolute bound, relative to the range, and how the reconstruction keeps it; all null without a bound."""
    bound = options.get("max_error")
    if not bound:
        return {"bound": None, "bound_of_range": None, "max_error_over_bound": None, "violations": None}
    most, violations = over_bound(x, x_hat, bound)
    span = known(x).span
    relative = bound / span if span else None
    return {"bound": bound, "bound_of_range": relative, "max_error_over_bound": most, "violations": violations}


def same_bits(x: np.ndarray, x_hat: np.ndarray) -> bool:
    """Whether a lossless codec kept every bit, of NaN and of the sign of zero too."""
    bits = [np.ascontiguousarray(one).reshape(-1).view(np.uint8) for one in (x, x_hat)]
    return x.shape == x_hat.shape and x.dtype == x_hat.dtype and np.array_equal(bits[0], bits[1])
