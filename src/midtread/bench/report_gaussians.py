"""Pictures of Gaussians: what each layer of a file adds, where its Gaussians lie, what it misses, and how a fit grows.

    kept file ──► cut behind each layer ──► decode ──► crop ──► AVIF for display ──► base64
         └──────► Gaussians ──► ellipses     └──► error, one scale for all
    original ──► crop ──► a few short fits ──► PSNR over seconds

One file a picture, the one nearest to a rate. Sizes and PSNR are those of the cut file and the whole picture; the fits
are made while the page is, of the crop alone, each for the same short time.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from midtread import container
from midtread.bench.query import Records, Row
from midtread.bench.report_bd import short
from midtread.bench.report_field_images import error_map
from midtread.bench.report_images import detail_window, display, read_kept, why
from midtread.codecs.image.gaussian_file import decode_part, read_file
from midtread.codecs.image.gaussian_symbols import axes
from midtread.errors import CodecError
from midtread.registry import METRICS
from midtread.transforms.gaussians import Gaussians
from midtread.transforms.gaussians_fit import Budget, fit

CODEC = "gaussian"
RATE_BPP = 0.25  # what the codec is for
MAX_PICTURES = 2
MAX_ELLIPSES = 500  # of a picture: more would hide each other
ERROR_TOP = 32  # of 255: the end of the scale of errors
FIT_SECONDS = 0.5  # of each fit
_PARTS = (4, 2, 1)  # fits have this part of the Gaussians that the file has in the crop
_CROP = (256, 384)  # height, width of the largest crop
_LEVEL = 85  # quality of the display copies
_HALF = 8 * (1 - 0.5**0.25)  # q at which (1 - q/8)^4 is a half

Window = tuple[int, int, int, int]  # top, left, height, width


def viewer(
    records: Records, entries: Sequence[Row], *, budget_bytes: int, fit_seconds: float = FIT_SECONDS
) -> tuple[list[Row], list[str]]:
    """What there is to see of the files that codec `gaussian` wrote.

    Args:
        records: the measurements.
        entries: dataset, item, and `original`, the path of the reference picture.
        budget_bytes: most bytes of display copies; pictures that do not fit are left out.
        fit_seconds: of each fit.

    Returns:
        For each picture: series, setting, size_bytes, rate_bpp, crop, layers (size_bytes, gaussians, psnr_db, data),
        error, ellipses (x, y, two radii, angle in degrees, colour) of `gaussians` in the crop, curves of fits (count,
        points of [seconds, dB]); and what could not be shown and why.
    """
    scenes: list[Row] = []
    skipped: list[str] = []
    for entry in entries:
        rows = [row for row in records.picture(entry["dataset"], entry["item"]) if row["codec"] == CODEC]
        if not rows or len(scenes) == MAX_PICTURES:
            continue
        row = min(rows, key=lambda row: abs(math.log(row["rate_bpp"] / RATE_BPP)))
        try:
            scene = _scene(row, entry, fit_seconds)
        except (OSError, CodecError, ValueError) as error:
            skipped.append(f"{entry['item']}, layers and Gaussians of {row['series']}: {why(error)}")
            continue
        if bytes_of([*scenes, scene]) > budget_bytes:
            skipped.append(f"{entry['item']}, layers and Gaussians: left out to keep this page small")
            break
        scenes.append(scene)
    return scenes, skipped


def bytes_of(scenes: Sequence[Row]) -> int:
    """Bytes of the display copies of what `viewer` returned, before base64."""
    copies = [copy for scene in scenes for copy in (scene["error"], *(layer["data"] for layer in scene["layers"]))]
    return sum(len(copy) for copy in copies) * 3 // 4


def _scene(row: Row, entry: Row, fit_seconds: float) -> Row:
    import imagecodecs

    original = imagecodecs.imread(str(entry["original"]))
    data = read_kept(Path(row["folder"]), row["file"])
    window = detail_window(display(original), *_CROP)
    gaussians = read_file(data)
    inside = _inside(gaussians, window)
    if not inside.size:
        raise ValueError("no Gaussian lies where most happens in the picture")
    layers, x_hat = _layers(data, original, window)
    error = np.sqrt(np.mean(np.square(display(x_hat).astype(np.float32) - display(original)), axis=2))
    wanted = _cut(display(original), window).astype(np.float32) / np.float32(255)
    top, left, tall, wide = window
    return {
        **{key: entry[key] for key in ("dataset", "item")},
        **{key: row[key] for key in ("series", "setting", "size_bytes")},
        "rate_bpp": short(row["rate_bpp"]),
        "crop": [left, top, wide, tall],
        "layers": layers,
        "error": _text(error_map(_cut(error, window) / ERROR_TOP)),
        "error_top": ERROR_TOP,
        "gaussians": int(inside.size),
        "ellipses": _ellipses(gaussians, inside, window),
        "curves": fit_curves(wanted, inside.size, fit_seconds),
        "fit_seconds": fit_seconds,
    }


def _layers(data: bytes, original: np.ndarray, window: Window) -> tuple[list[Row], np.ndarray]:
    """The file cut behind each of its layers, and the last of these pictures."""
    spans = [span for span in container.index(data)[1] if span.tag == container.Tag.PAYLOAD]
    if original.ndim == 3 and original.shape[2] in (2, 4):
        spans = spans[1:]  # alpha
    layers = []
    for number, span in enumerate(spans, 1):
        cut = data[: span.end + 4]  # with its checksum
        x_hat = decode_part(cut, errors="prefix")
        if x_hat.shape != original.shape:
            raise ValueError(f"decoded to {list(x_hat.shape)}, the original is {list(original.shape)}")
        layers.append(
            {
                "size_bytes": len(cut),
                "gaussians": len(read_file(data, layers=number).xy),
                "psnr_db": short(float(METRICS.get("psnr_db")(original, x_hat))),
                "data": _copy(_cut(display(x_hat), window)),
            }
        )
    return layers, x_hat


def _cut(x: np.ndarray, window: Window) -> np.ndarray:
    top, left, tall, wide = window
    return np.ascontiguousarray(x[top : top + tall, left : left + wide])


def _copy(picture: np.ndarray) -> str:
    import imagecodecs

    return _text(bytes(imagecodecs.avif_encode(picture, level=_LEVEL, speed=10, pixelformat="444", numthreads=1)))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _inside(gaussians: Gaussians, window: Window) -> np.ndarray:
    """Indices of the Gaussians with a centre in the window, those of most energy first."""
    top, left, tall, wide = window
    x, y = gaussians.xy.T
    found = np.flatnonzero((x >= left) & (x < left + wide) & (y >= top) & (y < top + tall))
    energy = np.square(gaussians.colour).sum(1) / (gaussians.factor[:, 0] * gaussians.factor[:, 2])
    return found[np.argsort(-energy[found], kind="stable")]


def _ellipses(gaussians: Gaussians, inside: np.ndarray, window: Window) -> list[list[Any]]:
    """Where each has fallen to a half, in pixels of the window, in the colour that it alone gives the background."""
    which = inside[:MAX_ELLIPSES]
    log_sigma, ratio, angle = axes(gaussians.factor[which])
    across, along = (math.sqrt(_HALF) * np.exp(log_sigma + sign * ratio / 2) for sign in (-1, 1))
    x, y = (gaussians.xy[which] - (window[1], window[0]) + 0.5).T  # edges of pixels, as an SVG counts
    background = 0.0 if gaussians.background is None else gaussians.background
    colour = np.clip(np.rint(255 * (gaussians.colour[which] + background)), 0, 255).astype(int)
    colour = np.broadcast_to(colour, (len(which), 3))
    places = np.round(np.stack([x, y, across, along, np.degrees(angle)], 1), 1).tolist()
    return [[*place, "#{:02x}{:02x}{:02x}".format(*rgb)] for place, rgb in zip(places, colour.tolist(), strict=True)]


def fit_curves(picture: np.ndarray, count: int, seconds: float) -> list[Row]:
    """PSNR over seconds of fits of a picture with some parts of `count` Gaussians.

    Args:
        picture: float32 [H, W, C], 0 to 1.
        count: Gaussians of the last fit.
        seconds: that each takes.

    Returns:
        For each `count` and `points`, [seconds, dB of the unrounded sum]; the last one is that of the solved colours.
    """
    picture = np.ascontiguousarray(picture - picture.mean((0, 1)))
    fit(picture[:32, :32], 4, Budget(iterations=2))  # compiled kernels are loaded before the clock runs
    curves = []
    for number in sorted({max(1, count // part) for part in _PARTS}):
        points: list[list[float]] = []
        began = time.perf_counter()

        def watch(done: float, psnr_db: float, points: list[list[float]] = points, began: float = began) -> None:
            points.append(_point(began, psnr_db))

        _, trace = fit(picture, number, Budget(iterations=10**6, seconds=seconds), watch=watch)
        curves.append({"count": number, "points": [*points, _point(began, trace.psnr_db[-1])]})
    return curves


def _point(began: float, psnr_db: float) -> list[float]:
    return [round(time.perf_counter() - began, 3), round(psnr_db, 3)]
