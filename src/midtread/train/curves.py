"""A training as a picture: loss over steps, and rate against distortion at each validation. One SVG, no scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_WIDTH, _HEIGHT, _MARGIN = 460, 320, 52  # of a panel, pixels
_BLUE, _GREY = "#1f5fa8", "#9aa4b0"


def svg(history: list[dict[str, Any]]) -> str:
    """Draw the lines of a history.

    Args:
        history: what `loop` writes: entries with "step" and "loss", and those with "validation".
    """
    losses = [(entry["step"], entry["loss"]) for entry in history if entry.get("loss") is not None]
    found = [entry["validation"] for entry in history if "validation" in entry]
    curves = [list(zip(map(_octaves, one["bpp"]), one["psnr_db"], strict=True)) for one in found]
    panels = _panel(0, "loss", "step", [losses], lambda x: f"{x:.0f}", lambda y: f"{y:.3g}")
    panels += _panel(
        _WIDTH, "PSNR, dB, held out; grey: earlier", "expected bits per pixel", curves,
        lambda x: f"{2**x:.3g}", lambda y: f"{y:.1f}",
    )  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )


def _octaves(rate_bpp: float) -> float:
    return math.log2(max(rate_bpp, 1e-4))


def _panel(left: int, title: str, below: str, curves: list[list[tuple[float, float]]], say_x: Any, say_y: Any) -> str:
    """Axes with the extremes written at their ends, and the curves, the last one on top."""
    x0, x1 = left + _MARGIN, left + _WIDTH - 16
    y0, y1 = _HEIGHT - _MARGIN, 36
    text = f'<text x="{x0}" y="20" font-weight="bold">{title}</text>'
    text += f'<text x="{(x0 + x1) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{below}</text>'
    text += f'<path d="M{x0} {y1}V{y0}H{x1}" fill="none" stroke="{_GREY}"/>'
    points = [point for curve in curves for point in curve]
    if not points:
        return text
    (low_x, high_x), (low_y, high_y) = (_extent(axis) for axis in zip(*points, strict=True))
    text += f'<text x="{x0}" y="{y0 + 16}">{say_x(low_x)}</text>'
    text += f'<text x="{x1}" y="{y0 + 16}" text-anchor="end">{say_x(high_x)}</text>'
    text += f'<text x="{x0 - 6}" y="{y0}" text-anchor="end">{say_y(low_y)}</text>'
    text += f'<text x="{x0 - 6}" y="{y1 + 10}" text-anchor="end">{say_y(high_y)}</text>'
    for number, curve in enumerate(curves, 1):
        last = number == len(curves)
        across = [x0 + (x - low_x) / (high_x - low_x) * (x1 - x0) for x, _ in curve]
        up = [y0 + (y - low_y) / (high_y - low_y) * (y1 - y0) for _, y in curve]
        at = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
        colour, width = (_BLUE, 2) if last else (_GREY, 0.7)
        text += f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
    return text


def _extent(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest, never the same."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
