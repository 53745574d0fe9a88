"""Fits of Gaussians: near the picture, the same on every run, and unharmed by numbers that run away."""

import math

import numpy as np
import pytest

from midtread.transforms import gaussians_fit
from midtread.transforms.gaussians import render
from midtread.transforms.gaussians_canvas import Canvas
from midtread.transforms.gaussians_count import COEFFICIENTS, Sparsity
from midtread.transforms.gaussians_fit import Budget, fit
from midtread.transforms.gaussians_over import fit_over
from pictures import photo_like


@pytest.fixture(scope="module")
def picture():
    x = photo_like((70, 90, 3)).astype(np.float32) / 255
    return x - x.mean((0, 1))


def psnr_db(x, y):
    return -10 * math.log10(np.mean(np.square(x - y)))


def test_a_fit_is_near_and_says_how_near(picture):
    gaussians, trace = fit(picture, 60, Budget(150))
    assert len(gaussians.xy) == 60
    drawn = render(gaussians, dtype=np.float32)
    assert trace.psnr_db[-1] == pytest.approx(psnr_db(picture, drawn), abs=0.01)
    assert trace.psnr_db[-1] > 27
    assert trace.iteration[0] == 0
    assert trace.iteration[-1] == 150
    assert not trace.stopped


def test_more_gaussians_and_more_iterations_are_nearer(picture):
    few, short, long = (
        fit(picture, *n)[1].psnr_db[-1] for n in ((20, Budget(60)), (80, Budget(60)), (80, Budget(240)))
    )
    assert few + 1 < short < long


def test_a_fit_is_the_same_on_every_run_and_with_any_threads(picture):
    one, two = fit(picture, 40, Budget(60), seed=5)[0], fit(picture, 40, Budget(60), seed=5, threads=2)[0]
    for name in ("xy", "factor", "colour"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.xy, fit(picture, 40, Budget(60), seed=6)[0].xy)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (40, 1, 1), (3, 2, 3), (17, 100, 1)])
def test_any_shape_and_more_gaussians_than_pixels(shape):
    rng = np.random.default_rng(0)
    gaussians, trace = fit(rng.normal(0, 0.3, shape).astype(np.float32), 12, Budget(40))
    assert len(gaussians.xy) == 12
    assert math.isfinite(trace.psnr_db[-1])


def test_numbers_that_run_away_are_taken_back(picture, monkeypatch):
    real, calls = Canvas.moments, []

    def moments(self, *parts):
        energy, sums = real(self, *parts)
        calls.append(energy)
        if len(calls) == 90:
            sums[3] = np.nan
        return energy, sums

    monkeypatch.setattr(Canvas, "moments", moments)
    gaussians, trace = fit(picture, 60, Budget(150))
    assert trace.retreats == 1
    assert np.isfinite(gaussians.xy).all()
    assert trace.psnr_db[-1] > 26


def test_a_fit_that_never_gets_good_numbers_ends(picture, monkeypatch):
    real = Canvas.moments
    monkeypatch.setattr(Canvas, "moments", lambda self, *parts: (math.nan, real(self, *parts)[1]))
    gaussians, trace = fit(picture, 30, Budget(40))
    assert trace.retreats == 40
    assert np.isfinite(gaussians.colour).all()


def test_seconds_end_a_fit(picture):
    trace = fit(picture, 40, Budget(10**6, seconds=0.2))[1]
    assert trace.stopped
    assert 10 < trace.iteration[-1] < 10**5


def test_the_last_part_of_a_fit_sees_what_a_quantizer_makes(picture):
    seen = []

    def snap(xy, factor, colour):
        seen.append(len(xy))
        return np.round(xy).astype(np.float32), factor, colour

    fit(picture, 40, Budget(100), snap=snap)
    assert len(seen) == round(100 * (1 - gaussians_fit.SNAPS))
    assert set(seen) == {40}


def test_solved_colours_are_those_of_least_squares(picture):
    gaussians, _ = fit(picture, 25, Budget(30))
    canvas = Canvas(picture)
    basis = np.stack([_alone(gaussians, k) for k in range(25)], 1)
    exact = np.linalg.lstsq(basis, picture.reshape(-1, 3), rcond=None)[0]
    solved = canvas.solve(gaussians.xy, gaussians.factor, np.zeros((25, 3), np.float32), 100)
    least = np.square(basis @ exact - picture.reshape(-1, 3)).sum()
    assert canvas.energy(gaussians.xy, gaussians.factor, solved) == pytest.approx(least, rel=1e-3)


def _alone(gaussians, k):
    colour = np.zeros((25, 1), np.float32)
    colour[k] = 1
    alone = type(gaussians)(gaussians.height, gaussians.width, gaussians.xy, gaussians.factor, colour)
    return render(alone, dtype=np.float32).reshape(-1)


def test_painting_over_fits_as_well(picture):
    gaussians, trace = fit_over(picture, 60, Budget(150), threads=2)
    assert gaussians.opacity.shape == (60,)
    assert trace.psnr_db[-1] == pytest.approx(psnr_db(picture, render(gaussians, dtype=np.float32)), abs=0.02)
    assert trace.psnr_db[-1] > 25


def test_sparsity_counts_what_wavelets_need():
    rng = np.random.default_rng(2)
    flat = Sparsity.of(np.zeros((64, 64, 3), np.float32))
    assert flat.count(0.1, 1000) == 0
    noise = Sparsity.of(rng.normal(0, 0.2, (64, 64, 1)).astype(np.float32))
    assert float(noise.error(0)) == pytest.approx(64 * 64 * 0.04, rel=0.15)  # the wavelet is nearly orthonormal
    assert float(noise.error(64 * 64 / COEFFICIENTS)) == pytest.approx(0, abs=1e-3)
    smooth = Sparsity.of(photo_like((64, 64, 3)).astype(np.float32) / 255)
    counts = [smooth.count(step, 10**6) for step in (0.05, 0.1, 0.4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2] > 0
    assert smooth.count(0.05, 7) == 7
    assert smooth.bits(200, 0.05) > smooth.bits(200, 0.1) > smooth.bits(100, 0.1) > 0


def test_what_is_grey_in_three_channels_is_sparse_in_one():
    grey = photo_like((64, 64, 3)).astype(np.float32)[:, :, :1] / 255
    one, three = Sparsity.of(grey), Sparsity.of(np.repeat(grey, 3, 2))
    for count in (5, 50):
        assert float(three.error(count)) == pytest.approx(3 * float(one.error(count)), rel=0.05)
