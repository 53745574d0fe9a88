"""BD-rates of a report: picture by picture, then averaged.

Each picture has its own curve of each series, and a BD-rate between two series on it; the figure is their geometric
mean over the pictures. The BD-rate between mean curves, which most papers print, is given beside it. They differ where
a knob means equal quality rather than equal rate: JPEG 2000 aiming at a PSNR spends most of its mean rate on a few hard
pictures, and its mean curve looks 15 points worse than the codec is on any picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from midtread.bench.query import Row
from midtread.errors import UsageError
from midtread.metrics.rate_distortion import Better, bd_rate

# Near 1 all the difference between codecs sits in the last digits, so these are drawn and integrated in decibels.
IN_DECIBELS = ("ssim", "ms_ssim", "slice_ssim")
# Relative errors span orders of magnitude: in decibels too, like the PSNR of such an error, and then more is better.
ERRORS_IN_DECIBELS = ("nrmse", "gradient_error", "spectrum_error")

Curve = tuple[list[float], list[float]]  # rates, qualities


def quality_scale(metric: str) -> Callable[[float], float]:
    """The scale on which a metric is drawn and integrated: decibels for similarities and relative errors, or itself."""
    if metric in ERRORS_IN_DECIBELS:
        return lambda value: -20 * math.log10(value) if value > 0 else math.inf
    if metric in IN_DECIBELS:
        return lambda value: -10 * math.log10(1 - value) if value < 1 else math.inf
    return lambda value: value


def short(value: float | None) -> float | None:
    """Six digits are more than was measured; JSON knows no infinity."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


def bd_table(
    curves: list[Row], points: list[Row], metric: Row, anchors: Sequence[str] | None = None
) -> dict[str, dict[str, list[Any] | str]]:
    """BD-rate of every series against every anchor.

    Args:
        curves: rows of `Records.curves` of one group.
        points: the complete points of the group, for the mean curves.
        metric: its row, with `name`, `better`, and `drawn_better` where that is another on the drawn scale.
        anchors: only against these; against every series when left out.

    Returns:
        anchor -> series -> [percent, quality from, to, overlap, points used, points dropped, pictures, percent of the
        mean curves by PCHIP, by Akima], the last two null where there is none; or why there is no number.
    """
    scale = quality_scale(metric["name"])
    own: dict[str, dict[str, Curve]] = {}
    for row in curves:
        if row["metric"] == metric["name"]:
            drawn = [(rate, scale(q)) for rate, q in zip(row["rates"], row["qualities"], strict=True)]
            finite = [(rate, q) for rate, q in drawn if math.isfinite(q)]
            own.setdefault(row["series"], {})[row["item"]] = ([rate for rate, _ in finite], [q for _, q in finite])
    mean: dict[str, Curve] = {name: ([], []) for name in own}
    for point in points:
        if (found := point["y"].get(metric["name"])) and point["series"] in mean:
            mean[point["series"]][0].append(point["rate_bpp"])
            mean[point["series"]][1].append(found[0])
    better: Better = metric.get("drawn_better") or metric["better"]
    return {
        anchor: {
            name: _bd(base, curve, mean[anchor], mean[name], better) for name, curve in own.items() if name != anchor
        }
        for anchor, base in own.items()
        if anchors is None or anchor in anchors
    }


def _bd(
    anchor: dict[str, Curve], curve: dict[str, Curve], anchor_mean: Curve, curve_mean: Curve, better: Better
) -> list[Any] | str:
    found, why = [], "no picture in common"
    for item, own in curve.items():
        if item not in anchor:
            continue
        try:
            found.append(bd_rate(*anchor[item], *own, better=better))
        except UsageError as error:  # too few points, or no quality in common: the page says so instead
            why = str(error)
    if not found:
        return why
    percent = 100 * math.expm1(fmean(math.log1p(one.percent / 100) for one in found))
    quality = (fmean(one.overlap_low for one in found), fmean(one.overlap_high for one in found))
    overlap = fmean(one.overlap_fraction for one in found)
    used, dropped = min(one.points[1] for one in found), max(one.dropped[1] for one in found)
    means = [_of_means(anchor_mean, curve_mean, better, method) for method in ("pchip", "akima")]
    return [*map(short, (percent, *quality, overlap)), used, dropped, len(found), *means]


def _of_means(anchor: Curve, curve: Curve, better: Better, method: Any) -> float | None:
    try:
        return short(bd_rate(*anchor, *curve, better=better, method=method).percent)
    except UsageError:
        return None
