"""Fields to look at: a slice of each reconstruction at one bound, its error in units of the bound, and the spectra.

    kept files ──► decode ──► central slice, crop ──► colours ──► AVIF for display ──► base64
                         └──► |x_hat - x| / bound, one scale for all ──► the same
                         └──► power spectrum over that of the source

Every number beside the pictures is that of the whole field and the kept file.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from midtread import media
from midtread.bench.query import Records, Row
from midtread.bench.report_bd import short
from midtread.bench.report_images import decode_kept, detail_window, read_kept, why
from midtread.errors import CodecError
from midtread.metrics.field_structure import central_slices, power_spectrum
from midtread.metrics.fields import Reference, reference

BOUND_OF_RANGE = 1e-2  # the coarsest that is of use, so that there is something to see
MAX_FIELDS = 3
_SIDE = 192  # values of a slice that are shown, at most
_LEVEL = 82  # of AVIF: the colours stand for about a hundred values each
_PERCENT = (1.0, 99.0)  # of the values of the slice are inside its scale of colours

# From dark blue over green to yellow, each step lighter; from black over red to pale yellow. sRGB.
_FIELD = ("#2b1a4f", "#2f4a86", "#2a7b8c", "#36a981", "#8fd05c", "#f4e86a")
_ERROR = ("#0b0b12", "#45165f", "#93265f", "#d95540", "#f7a94c", "#fdf6c3")
_OVER, _MISSING = "#00e5ff", "#8a8a8a"


def viewer(
    records: Records,
    entries: Sequence[Row],
    *,
    budget_bytes: int,
    decode: Callable[[Row, bytes], np.ndarray] = decode_kept,
) -> Row:
    """Fields to look at, ready for JSON.

    Args:
        records: the measurements; lossy series whose file was kept are shown.
        entries: dataset, item, and `original`, the path of the .npy file.
        budget_bytes: most bytes of display copies; fields that do not fit are left out.
        decode: turns (record, bytes) into an array.

    Returns:
        `fields`: each with group, bound_of_range, width, height, low, high, slice, frequency, power, and `shots`:
        what was measured on the series, slice, error, power; `colors` of both scales; `skipped`.
    """
    skipped: list[str] = []
    fields: list[Row] = []
    spent = 0
    for entry in entries[:MAX_FIELDS]:
        try:
            scene = _scene(records, entry, decode, skipped)
        except (OSError, CodecError, ValueError) as error:
            skipped.append(f"{entry['item']}: {why(error)}")
            continue
        size = sum(len(one) for shot in scene["shots"] for one in (shot["slice"], shot["error"])) + len(scene["slice"])
        if spent + size > budget_bytes:
            skipped.append(f"{entry['item']}: left out to keep this page small")
        elif scene["shots"]:
            spent += size
            fields.append(scene)
    for scene in fields:
        for one in (scene, *scene["shots"]):
            one |= {key: base64.b64encode(one[key]).decode() for key in ("slice", "error") if key in one}
    return {"fields": fields, "colors": {"field": _FIELD, "error": _ERROR, "over": _OVER}, "skipped": skipped}


def _scene(records: Records, entry: Row, decode: Callable[[Row, bytes], np.ndarray], skipped: list[str]) -> Row:
    """One field: its slice and spectrum, and those of every series at the bound nearest to the usual one."""
    x = media.load(Path(entry["original"])).array
    found = reference(x)
    source = power_spectrum(x, found)
    plane = _slice(x)
    mask = None if found.present is None else _slice(found.present)
    window = _window(plane, mask)
    low, high = np.percentile(plane[window] if mask is None else plane[window][mask[window]], _PERCENT)
    rows = [row for row in records.picture(entry["dataset"], entry["item"]) if row["bound_of_range"]]
    shots = []
    for name in dict.fromkeys(row["series"] for row in rows):
        row = _nearest([row for row in rows if row["series"] == name])
        try:
            x_hat = decode(row, read_kept(Path(row["folder"]), row["file"]))
            if x_hat.shape != x.shape or x_hat.dtype != x.dtype:
                raise ValueError(f"decoded to {list(x_hat.shape)} {x_hat.dtype}")
            shots.append(_shot(row, x, x_hat, found, window, (float(low), float(high))))
        except (OSError, CodecError, ValueError, RuntimeError) as error:
            skipped.append(f"{entry['item']}, {name}, {row['setting']}: {why(error)}")
    height, width = plane[window].shape
    return {
        "group": f"{entry['dataset']} / {entry['item']}",
        "shape": list(x.shape),
        "bound_of_range": short(shots[0]["bound_of_range"]) if shots else None,
        "width": width,
        "height": height,
        "low": short(float(low)),
        "high": short(float(high)),
        "slice": _picture(plane[window], (float(low), float(high)), _FIELD, mask if mask is None else mask[window]),
        "frequency": [short(float(one)) for one in source.frequency],
        "power": [short(float(one)) for one in source.power],
        "shots": shots,
    }


def _nearest(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: abs(math.log(row["bound_of_range"] / BOUND_OF_RANGE)))


def _shot(
    row: Row,
    x: np.ndarray,
    x_hat: np.ndarray,
    found: Reference,
    window: tuple[slice, slice],
    limits: tuple[float, float],
) -> Row:
    """What is shown of one reconstruction."""
    plane, plane_hat = _slice(x)[window], _slice(x_hat)[window]
    mask = None if found.present is None else _slice(found.present)[window]
    with np.errstate(invalid="ignore"):
        error = np.abs(plane_hat.astype(np.float64) - plane.astype(np.float64)) / (row["bound_of_range"] * found.unit)
    kept = {key: row[key] for key in ("series", "setting", "size_bytes", "violations")}
    numbers = ("ratio", "rate_bpp", "bound_of_range", "max_error_over_bound")
    power = power_spectrum(x_hat, found).power
    return {
        **kept,
        **{key: short(row[key]) for key in numbers},
        "metrics": {name: short(value) for name, value in row["metrics"].items()},
        "slice": _picture(plane_hat, limits, _FIELD, mask),
        "error": _picture(error, (0.0, 1.0), _ERROR, mask),
        "power": [short(float(one)) for one in power],
    }


def _slice(x: np.ndarray) -> np.ndarray:
    """The first central slice [H, W]; of a vector, all of it as one row."""
    plane = central_slices(x)[0]
    return plane.reshape(1, -1) if plane.ndim < 2 else plane


def _window(plane: np.ndarray, mask: np.ndarray | None) -> tuple[slice, slice]:
    """The part of a slice that is shown: all of it, or where most happens."""
    gray = plane.astype(np.float64) if mask is None else np.where(mask, plane, plane[mask].mean()).astype(np.float64)
    top, left, height, width = detail_window(gray[..., None], _SIDE, _SIDE)
    return slice(top, top + height), slice(left, left + width)


def error_map(error: np.ndarray) -> bytes:
    """Errors float [H, W], 1 the end of the scale, in the colours of errors as AVIF; beyond it they have their own."""
    return _picture(error, (0.0, 1.0), _ERROR, None)


def _picture(plane: np.ndarray, limits: tuple[float, float], colors: Sequence[str], mask: np.ndarray | None) -> bytes:
    """A plane in colours from the lower to the upper limit, as AVIF 4:4:4; errors over the bound have their own."""
    import imagecodecs

    low, high = limits
    with np.errstate(invalid="ignore"):
        place = np.clip((plane.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1) * (len(colors) - 1)
    place = np.nan_to_num(place)
    table = np.array([_rgb(one) for one in colors], np.float64)
    under = np.minimum(place.astype(int), len(colors) - 2)
    share = (place - under)[..., None]
    rgb = table[under] * (1 - share) + table[under + 1] * share
    if colors is _ERROR:
        rgb[plane > 1 + 1e-9] = _rgb(_OVER)  # the quotient may round up
    if mask is not None:
        rgb[~mask] = _rgb(_MISSING)
    shown = np.ascontiguousarray(np.rint(rgb).astype(np.uint8))
    return bytes(imagecodecs.avif_encode(shown, level=_LEVEL, speed=8, pixelformat="444", numthreads=1))


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
