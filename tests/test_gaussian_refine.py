"""Moving quantized Gaussians by whole steps: never worse, for the same precision, and most of what a grid costs."""

import numpy as np
import pytest

from midtread.codecs.image import gaussian_symbols as columns
from midtread.codecs.image.gaussian_header import Header
from midtread.codecs.image.gaussian_refine import by_axes, refine
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_fit import Budget, fit
from pictures import photo_like


@pytest.fixture(scope="module")
def fitted():
    x = photo_like((70, 90, 3)).astype(np.float32) / 255
    x = x - x.mean((0, 1))
    return Canvas(x), fit(x, 60, Budget(120))[0]


def test_rounds_make_the_error_smaller_and_keep_the_levels(fitted):
    canvas, gaussians = fitted
    header = Header(70, 90, 3, 150)
    symbols, _ = columns.quantize(gaussians.xy, gaussians.factor, gaussians.colour, header)
    before = canvas.energy(*columns.dequantize(symbols, header))
    kept = [getattr(symbols, name).copy() for name in ("size", "colour", "part", "ring", "turn", "cells", "parts_xy")]
    errors = [before]
    for rounds in (5, 20, 60):
        moved, energy = refine(canvas, symbols, header, rounds)
        assert energy == pytest.approx(canvas.energy(*columns.dequantize(moved, header)), rel=1e-5)
        assert np.array_equal(columns.levels(moved.colour), columns.levels(symbols.colour))
        assert np.array_equal(moved.size, symbols.size)
        errors.append(energy)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.95 * errors[0]
    for name, values in zip(("size", "colour", "part", "ring", "turn", "cells", "parts_xy"), kept, strict=True):
        assert np.array_equal(getattr(symbols, name), values), "the symbols that came in stay as they are"


def test_no_rounds_change_nothing(fitted):
    canvas, gaussians = fitted
    header = Header(70, 90, 3, 120)
    symbols, _ = columns.quantize(gaussians.xy, gaussians.factor, gaussians.colour, header)
    same, energy = refine(canvas, symbols, header, 0)
    assert same is symbols
    assert energy == canvas.energy(*columns.dequantize(symbols, header))


def test_the_gradients_of_size_ratio_and_angle_are_those_of_differences(fitted):
    canvas, gaussians = fitted
    few = slice(5, 15)
    xy, factor, colour = gaussians.xy[few], gaussians.factor[few], gaussians.colour[few]
    log_sigma, ratio, angle = columns.axes(factor)
    _, moments = canvas.moments(xy, factor, colour)
    found = by_axes(factor.astype(np.float64), ratio, angle, moments)
    step = 1e-2
    for which, slopes in enumerate(found):
        for k in range(len(ratio)):
            errors = []
            for sign in (-1, 1):
                moved = [v.copy() for v in (log_sigma, ratio, angle)]
                moved[which][k] += sign * step
                canvas.energy(xy, _factor(*moved), colour)
                errors.append(np.square(canvas.rest, dtype=np.float64).sum() / 2)
            assert slopes[k] == pytest.approx((errors[1] - errors[0]) / (2 * step), rel=0.05, abs=0.02)


def _factor(log_sigma, ratio, angle):
    """Precision R diag(e^ratio, e^-ratio) R' / sigma^2, and its lower triangular factor."""
    short, long = np.exp(ratio - 2 * log_sigma), np.exp(-ratio - 2 * log_sigma)
    sine, cosine = np.sin(angle), np.cos(angle)
    xx, yy = short * cosine**2 + long * sine**2, short * sine**2 + long * cosine**2
    xy = (short - long) * sine * cosine
    c = np.sqrt(yy)
    return np.stack([np.sqrt(xx - (xy / c) ** 2), xy / c, c], 1).astype(np.float32)
