"""What the metrics of pictures agree on: which arrays they take, and how they read them.

    [H, W] or [H, W, C] samples ──► display values, white = 1 ──► alpha over a background ──► planes [1 or 3, H, W]

Integers use their full scale. Floats are read as display values with white = 1.0: the source has to lie in [0, 1] (a
high dynamic range picture needs tone mapping first, and is refused); the reconstruction is clipped to [0, 1], as a
display would. Alpha is straight, and each picture is laid over the same background with its own alpha.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from midtread.errors import UsageError
from midtread.spec import full_scale

Planes: TypeAlias = NDArray[np.floating[Any]]  # [1 or 3, H, W], white = 1

GRAY_BACKGROUND = 0.5  # display value under transparent pixels where a metric's authors name none
_SLACK = 1e-6  # a float source may leave [0, 1] by rounding: 255 * float32(1 / 255) is not 1


def pair(
    name: str,
    x: np.ndarray,
    x_hat: np.ndarray,
    *,
    at_least: int = 1,
    background: float = GRAY_BACKGROUND,
    dtype: type[np.floating[Any]] = np.float32,
) -> tuple[Planes, Planes]:
    """Source and reconstruction as display planes, alpha composited over `background`.

    Args:
        name: of the metric, for messages.
        x: gray [H, W], [H, W, 2], [H, W, 3] or [H, W, 4]; uint8, uint16 or float.
        x_hat: same shape and dtype.
        at_least: fewest rows and columns that the metric can measure.
        background: display value in [0, 1].
        dtype: of the planes.

    Returns:
        Two arrays [1, H, W] (gray) or [3, H, W] (RGB) with values in [0, 1].

    Raises:
        UsageError: not a picture, too small, not finite, or a float source outside [0, 1].
    """
    _check(name, x, at_least)
    if x.dtype.kind == "f":
        _check_values(name, x, "source")
        _check_values(name, x_hat, "reconstruction")
    return _planes(x, background, dtype), _planes(x_hat, background, dtype)


def _check(name: str, x: np.ndarray, at_least: int) -> None:
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] not in (2, 3, 4)):
        raise UsageError(
            f"metric {name!r} takes pictures [H, W], [H, W, 2], [H, W, 3] or [H, W, 4], got {list(x.shape)}; "
            "for other arrays use 'psnr_db' or 'max_error'"
        )
    if x.dtype.name not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise UsageError(f"metric {name!r} takes uint8, uint16 or float samples, got {x.dtype.name}")
    if min(x.shape[:2]) < at_least:
        got = f"{x.shape[0]} x {x.shape[1]}"
        raise UsageError(f"metric {name!r} needs pictures of at least {at_least} x {at_least} pixels, got {got}")


def _check_values(name: str, x: np.ndarray, role: str) -> None:
    if not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise UsageError(f"metric {name!r} takes finite samples only; sample {where} of the {role} is {x[where]}")
    low, high = float(x.min()), float(x.max())
    if role == "source" and (low < -_SLACK or high > 1 + _SLACK):
        raise UsageError(
            f"metric {name!r} reads float samples as display values in [0, 1], the source spans [{low:g}, {high:g}]; "
            "tone-map or rescale both pictures first"
        )


def _planes(x: np.ndarray, background: float, dtype: type[np.floating[Any]]) -> Planes:
    channels = x[..., np.newaxis] if x.ndim == 2 else x
    planes = np.empty((channels.shape[2], *x.shape[:2]), dtype)
    np.divide(np.moveaxis(channels, -1, 0), dtype(full_scale(x.dtype)), out=planes, casting="unsafe")
    if x.dtype.kind == "f":
        np.clip(planes, 0, 1, out=planes)
    if len(planes) in (1, 3):
        return planes
    colour, alpha = planes[:-1], planes[-1]
    return np.asarray((colour - background) * alpha + background)


def as_rgb(planes: Planes) -> Planes:
    """[1 or 3, H, W] -> [3, H, W]; a gray picture becomes three equal planes."""
    return np.ascontiguousarray(np.broadcast_to(planes, (3, *planes.shape[1:])))


def srgb_to_linear(display: Planes) -> Planes:
    """Undo the sRGB transfer curve (IEC 61966-2-1) of values in [0, 1]."""
    low = display * (1 / 12.92)
    high = np.power((display + 0.055) * (1 / 1.055), 2.4)
    return np.where(display <= 0.04045, low, high).astype(display.dtype, copy=False)
