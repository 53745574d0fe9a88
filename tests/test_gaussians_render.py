"""Gaussians drawn: both twins against the formula, gradients against differences, any size, any region, any thread."""

import itertools
import tracemalloc

import numpy as np
import pytest

from midtread.errors import LimitError, UsageError
from midtread.kernels import splat, splat_over, splat_over_slow, splat_parts, splat_slow
from midtread.kernels.splat_slow import LANES, from_strips, to_strips
from midtread.spec import Limits
from midtread.transforms.gaussians import Gaussians, render

SUMS = pytest.mark.parametrize("twin", [splat, splat_slow], ids=["fast", "slow"])
OVERS = pytest.mark.parametrize("twin", [splat_over, splat_over_slow], ids=["fast", "slow"])
SIZES = pytest.mark.parametrize("size", [(1, 1), (1, 50), (37, 1), (21, 16), (40, 45)], ids=str)
CHANNELS = pytest.mark.parametrize("channels", [1, 3])


def scatter(n: int, height: int, width: int, channels: int, seed: int = 0, largest: float = 12.0) -> tuple:
    """Centres, factors, colours and opacities: all sizes and slants, some of them beyond the edges."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform((-6, -6), (width + 5, height + 5), (n, 2))
    a, c = 1 / np.exp(rng.uniform(np.log(0.35), np.log(largest), (2, n)))
    factor = np.stack([a, a * rng.normal(0, 1, n), c], 1)
    colour, opacity = rng.normal(0.3, 0.6, (n, channels)), rng.uniform(0.02, 0.99, n)
    return tuple(x.astype(np.float32) for x in (xy, factor, colour, opacity))


def weights(xy: np.ndarray, factor: np.ndarray, height: int, width: int) -> np.ndarray:
    """The formula itself, float64 [n, height, width]."""
    dx = np.arange(width) - xy[:, :1].astype(np.float64)
    dy = np.arange(height) - xy[:, 1:].astype(np.float64)
    a, b, c = factor.T.astype(np.float64)[:, :, None, None]
    q = np.square(a * dx[:, None]) + np.square(b * dx[:, None] + c * dy[:, :, None])
    return np.maximum(0, 1 - q / 8) ** 4


def summed(xy, factor, colour, height, width):
    return np.einsum("nc,nyx->yxc", colour, weights(xy, factor, height, width))


def painted(xy, factor, colour, opacity, height, width):
    picture = np.zeros((height, width, colour.shape[1]))
    for k, w in enumerate(weights(xy, factor, height, width)):
        picture += (opacity[k] * w)[..., None] * (colour[k] - picture)
    return picture


def strips_of(height: int, width: int, channels: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    chunks = -(-width // LANES)
    return np.zeros(height * chunks * LANES * channels, np.float32), (height, chunks, channels)


def noise(height: int, width: int, channels: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(height, width, channels)).astype(np.float32)


def close(got: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    """Each column within `tolerance` of its own largest magnitude."""
    scale = np.abs(wanted).reshape(-1, wanted.shape[-1]).max(0) + 1e-12
    assert (np.abs(got - wanted) / scale).max() <= tolerance


# Kernels


def test_strips_come_back_and_are_filled_with_zeros():
    for width in (1, 15, 16, 17, 40):
        x = noise(5, width, 3)
        strips = to_strips(x)
        np.testing.assert_array_equal(from_strips(strips, 5, width, 3), x)
        assert np.count_nonzero(strips) == x.size
    assert splat_parts.LANES == LANES


def test_moments_of_the_kernel_are_those_its_description_states():
    w = weights(np.array([[200, 200]]), np.array([[1 / 60, 0, 1 / 60]]), 401, 401)[0]
    u = (np.arange(401) - 200) / 60
    assert w.sum() / 60**2 == pytest.approx(8 * np.pi / 5, rel=1e-5)
    assert (w.sum(0) * u**2).sum() / w.sum() == pytest.approx(2 / 3, rel=1e-5)


@SUMS
@SIZES
@CHANNELS
def test_sums_are_what_the_formula_says(twin, size, channels):
    xy, factor, colour, _ = scatter(60, *size, channels)
    out, shape = strips_of(*size, channels)
    out[:] = 0.25
    twin.draw(out, *shape, 0, xy, factor, colour)
    drawn = from_strips(out, *size, channels)
    assert np.abs(drawn - 0.25 - summed(xy, factor, colour, *size)).max() < 5e-6


@SUMS
@SIZES
@CHANNELS
def test_gathered_sums_are_what_the_formula_says(twin, size, channels):
    xy, factor, _, _ = scatter(60, *size, channels)
    res, (_, shape) = noise(*size, channels), strips_of(*size, channels)
    out, norms = np.full((60, channels), 7, np.float32), np.full(60, 7, np.float32)
    twin.gather(to_strips(res), *shape, 0, 5, 58, xy, factor, out, norms)
    w = weights(xy, factor, size[0], shape[1] * LANES)[5:58]
    close(out[5:58], np.einsum("nyx,yxc->nc", w[..., : size[1]], res), 2e-6)
    close(norms[5:58, None], np.square(w).sum((1, 2))[:, None], 2e-6)
    for values in (out, norms):  # those not asked for
        assert (values[:5] == 7).all()
        assert (values[58:] == 7).all()


@pytest.mark.parametrize("top", [0, 9])
@SIZES
@CHANNELS
def test_twins_agree_on_bands_of_rows(size, channels, top):
    height, width = size
    xy, factor, colour, opacity = scatter(80, height + top, width, channels)
    res, (_, shape) = noise(*size, channels), strips_of(*size, channels)
    results = []
    for summing, painting in ((splat, splat_over), (splat_slow, splat_over_slow)):
        out, over = to_strips(res), to_strips(res)
        summing.draw(out, *shape, top, xy, factor, colour)
        painting.draw(over, *shape, top, xy, factor, colour, opacity)
        sums, back = np.full((80, 5 + channels), 7, np.float32), np.full((80, 6 + channels), 7, np.float32)
        summing.moments(to_strips(res), *shape, top, 3, 77, xy, factor, colour, sums)
        gradient = to_strips(noise(*size, channels, seed=2))
        painting.undo(over.copy(), gradient, *shape, top, xy, factor, colour, opacity, back)
        bytes_ = np.empty(res.size, np.uint8)
        summing.to_bytes(to_strips(res), height, width, channels, bytes_)
        results.append([x.reshape(len(x), -1) for x in (out, over, sums, back, gradient, bytes_)])
    for fast, slow in zip(*results, strict=True):
        if fast.dtype == np.uint8:
            np.testing.assert_array_equal(fast, slow)
        else:
            close(fast, slow, 1e-5 if len(fast) == 80 and fast.shape[1] == 6 + channels else 2e-6)


@CHANNELS
def test_a_band_is_the_same_rows_of_the_whole(channels):
    height, width = 64, 50
    xy, factor, colour, _ = scatter(100, height, width, channels)
    whole, shape = strips_of(height, width, channels)
    splat.draw(whole, *shape, 0, xy, factor, colour)
    band, shape = strips_of(13, width, channels)
    splat.draw(band, *shape, 30, xy, factor, colour)
    rows = from_strips(whole, height, width, channels)[30:43]
    assert np.abs(from_strips(band, 13, width, channels) - rows).max() < 2e-5


def gradients(moments: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(x, y, a, b, c, then the rest) from the moments, as `splat_slow.moments` says."""
    sx, sy, xx, cross, yy = moments[:, :5].T.astype(np.float64)
    a, b, c = factor.T.astype(np.float64)
    v = b * sx + c * sy
    first = [a * a * sx + b * v, c * v, -a * xx, -(b * xx + c * cross), -(b * cross + c * yy)]
    return np.concatenate([np.stack(first, 1), moments[:, 5:]], 1)


def differences(loss, *parameters: np.ndarray) -> np.ndarray:
    """Central differences of a loss in float64 by each number of each Gaussian."""
    table = np.concatenate([x.reshape(len(x), -1).astype(np.float64) for x in parameters], 1)
    cuts = np.cumsum([x.reshape(len(x), -1).shape[1] for x in parameters])[:-1]
    out = np.empty_like(table)
    for at in np.ndindex(table.shape):
        kept, ends = table[at], []
        step = 1e-5 * max(abs(kept), 0.05)
        for sign in (1, -1):
            table[at] = kept + sign * step
            ends.append(loss(*np.split(table, cuts, 1)))
        table[at] = kept
        out[at] = (ends[0] - ends[1]) / (2 * step)
    return out


@SUMS
@CHANNELS
def test_gradients_of_sums_are_those_of_differences(twin, channels):
    size = (30, 37)
    xy, factor, colour, _ = scatter(12, *size, channels, largest=5)
    wanted = noise(*size, channels).astype(np.float64)
    by_difference = differences(
        lambda xy, factor, colour: np.square(summed(xy, factor, colour, *size) - wanted).sum() / 2, xy, factor, colour
    )
    res = to_strips((summed(xy, factor, colour, *size) - wanted).astype(np.float32))
    moments = np.empty((12, 5 + channels), np.float32)
    twin.moments(res, *strips_of(*size, channels)[1], 0, 0, 12, xy, factor, colour, moments)
    close(gradients(moments, factor), by_difference, 1e-4)


# Painting over


@OVERS
@SIZES
@CHANNELS
def test_painting_is_what_the_formula_says_and_comes_off_again(twin, size, channels):
    xy, factor, colour, opacity = scatter(40, *size, channels)
    opacity[:] *= 0.7  # what is under many of 0.99 cannot come back
    out, shape = strips_of(*size, channels)
    twin.draw(out, *shape, 0, xy, factor, colour, opacity)
    assert np.abs(from_strips(out, *size, channels) - painted(xy, factor, colour, opacity, *size)).max() < 5e-6
    gradient, back = np.ones_like(out), np.empty((40, 6 + channels), np.float32)
    twin.undo(out, gradient, *shape, 0, xy, factor, colour, opacity, back)
    assert np.abs(out).max() < 2e-3
    through = np.prod(1 - opacity[:, None, None] * weights(xy, factor, *size), 0)
    assert np.abs(from_strips(gradient, *size, channels) - through[..., None]).max() < 1e-5


@OVERS
@CHANNELS
def test_gradients_of_painting_are_those_of_differences(twin, channels):
    size = (30, 37)
    xy, factor, colour, opacity = scatter(12, *size, channels, largest=5)
    opacity[::3] = 0.99
    wanted = noise(*size, channels).astype(np.float64)

    def loss(xy, factor, colour, opacity):
        return np.square(painted(xy, factor, colour, opacity[:, 0], *size) - wanted).sum() / 2

    by_difference = differences(loss, xy, factor, colour, opacity)
    out, shape = strips_of(*size, channels)
    twin.draw(out, *shape, 0, xy, factor, colour, opacity)
    gradient, back = out - to_strips(wanted.astype(np.float32)), np.empty((12, 6 + channels), np.float32)
    gradient = to_strips(from_strips(gradient, *size, channels))  # nothing is wanted of what fills the last strip
    twin.undo(out, gradient, *shape, 0, xy, factor, colour, opacity, back)
    close(gradients(back, factor), by_difference, 1e-3)


# Numbers nobody should send

AWKWARD = [0.0, -1.0, 1e-45, 1e-30, 1e30, 3e38, np.inf, -np.inf, np.nan]


@CHANNELS
def test_kernels_stay_inside_their_buffers_whatever_the_numbers(channels):
    rows = np.array(list(itertools.product([0.5, *AWKWARD], repeat=3)), np.float32)
    factor = np.concatenate([rows, np.full((len(rows), 3), 0.3, np.float32)])
    xy = np.concatenate([np.full((len(rows), 2), 8, np.float32), rows[:, 1:]])
    n, (_, shape) = len(factor), strips_of(20, 40, channels)
    colour, opacity = np.ones((n, channels), np.float32), np.full(n, 0.5, np.float32)
    size, margin = 20 * 48 * channels, 1000
    for call in range(5):
        guarded = [np.full(size + 2 * margin, 3, np.float32) for _ in range(2)]
        a, b = (x[margin:-margin] for x in guarded)
        tables = [np.full((n + 2, 6 + channels), 3, np.float32) for _ in range(2)]
        if call == 0:
            splat.draw(a, *shape, 5, xy, factor, colour)
        elif call == 1:
            splat.gather(a, *shape, 5, 0, n, xy, factor, tables[0][1:-1], tables[1][1:-1, 0])
        elif call == 2:
            splat.moments(a, *shape, 5, 0, n, xy, factor, colour, tables[0][1:-1])
        elif call == 3:
            splat_over.draw(a, *shape, 5, xy, factor, colour, opacity)
        else:
            splat_over.undo(a, b, *shape, 5, xy, factor, colour, opacity, tables[0][1:-1])
        for values in (*guarded, *tables):
            edge = margin if values.ndim == 1 else 1
            assert (values[:edge] == 3).all()
            assert (values[-edge:] == 3).all()


def picture(n: int = 300, height: int = 60, width: int = 83, channels: int = 3, over: bool = False) -> Gaussians:
    xy, factor, colour, opacity = scatter(n, height, width, channels)
    return Gaussians(height, width, xy, factor, colour / np.float32(3), opacity if over else None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e6])
@pytest.mark.parametrize("name", ["xy", "factor", "colour", "opacity"])
def test_numbers_that_are_not_finite_or_far_too_large_are_refused(name, value):
    parts = dict(zip(("xy", "factor", "colour", "opacity"), scatter(9, 20, 20, 3), strict=True))
    parts[name].reshape(9, -1)[4, -1] = value
    with pytest.raises(UsageError, match=rf"{name}\[4.* it must be finite and at most 1e\+06 in magnitude"):
        Gaussians(20, 20, **parts)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("factor", 0, r"factor\[4, 2\] of the Gaussians is 0.0; a and c must be at least 1e-06"),
        ("factor", -1, r"factor\[4, 2\] .* at least"),
        ("opacity", 0, r"opacity\[4\] .* above 0 and at most 0.99"),
        ("opacity", 1, r"opacity\[4\] .* above 0 and at most 0.99"),
    ],
)
def test_shapes_without_an_area_and_opacities_out_of_range_are_refused(name, value, message):
    parts = dict(zip(("xy", "factor", "colour", "opacity"), scatter(9, 20, 20, 3), strict=True))
    parts[name].reshape(9, -1)[4, -1] = value
    with pytest.raises(UsageError, match=message):
        Gaussians(20, 20, **parts)


def test_arrays_of_other_shapes_and_types_are_refused():
    xy, factor, colour, opacity = scatter(9, 20, 20, 3)
    for parts, message in [
        ((xy[:, :1], factor, colour), r"xy .* float32 \[9, 2\], got float32 \[9, 1\]"),
        ((xy, factor[:8], colour), r"factor .* \[9, 3\], got float32 \[8, 3\]"),
        ((xy, factor, colour[:, :2]), r"colour .* \[9, 1\], got float32 \[9, 2\]"),
        ((xy.astype(np.float64), factor, colour), r"xy .* got float64"),
        ((xy, factor, colour, opacity[:3]), r"opacity .* \[9\], got float32 \[3\]"),
    ]:
        with pytest.raises(UsageError, match=message):
            Gaussians(20, 20, *parts)
    with pytest.raises(UsageError, match="at least 1 pixel, got 0 x 20"):
        Gaussians(0, 20, xy, factor, colour)


def test_too_much_work_and_too_many_pixels_are_refused_before_they_are_done():
    n = 1000
    flat = np.full((n, 3), 1e-6, np.float32) * np.float32((1, 0, 1)) + np.float32((1e-6, 0, 1e-6))
    hostile = Gaussians(20_000, 20_000, np.zeros((n, 2), np.float32), flat, np.ones((n, 1), np.float32))
    with pytest.raises(LimitError, match="takes 4e\\+11 evaluations"):
        render(hostile)
    with pytest.raises(LimitError, match="the picture to draw claims 20000 x 20000 x 1"):
        render(hostile, limits=Limits(max_elements=1000))
    assert render(hostile, region=(5, 5, 8, 8)).shape == (8, 8)
    with pytest.raises(LimitError, match="more than the 10 allowed"):
        render(hostile, region=(5, 5, 8, 8), most_evaluations=10)


# Any size, any region


@pytest.mark.parametrize("over", [False, True])
@CHANNELS
def test_a_picture_is_the_rounded_and_clipped_formula(channels, over):
    g = picture(channels=channels, over=over)
    exact = painted(*scatter(300, 60, 83, channels)[:2], g.colour, g.opacity, 60, 83) if over else None
    exact = summed(g.xy, g.factor, g.colour, 60, 83) if exact is None else exact
    floats, pixels = render(g, dtype=np.float32), render(g)
    assert floats.shape == pixels.shape == ((60, 83, 3) if channels == 3 else (60, 83))
    assert np.abs(floats.reshape(exact.shape) - exact).max() < 1e-5
    assert np.abs(pixels.reshape(exact.shape) - np.clip(exact, 0, 1) * 255).max() <= 0.501


@pytest.mark.parametrize("over", [False, True])
def test_threads_do_not_change_a_pixel(over):
    g = picture(600, 300, 900, over=over)
    for dtype in (np.uint8, np.float32):
        np.testing.assert_array_equal(render(g, dtype=dtype, threads=3), render(g, dtype=dtype))


@pytest.mark.parametrize("scale", [0.25, 0.37, 1.0, 1.7, 8.0])
def test_a_region_is_that_part_of_the_whole(scale):
    g = picture()
    whole = render(g, scale=scale)
    height, width = whole.shape[:2]
    assert (height, width) == (round(60 * scale), round(83 * scale))
    for region in [(0, 0, height, width), (height // 3, width // 4, height // 2, width // 3), (height - 1, 2, 1, 1)]:
        top, left, rows, columns = region
        part = render(g, scale=scale, region=region)
        wanted = whole[top : top + rows, left : left + columns].astype(int)
        assert part.shape == wanted.shape
        assert np.abs(part - wanted).max() <= 1
        assert (part != wanted).mean() < 0.01


@pytest.mark.parametrize("over", [False, True])
def test_a_larger_picture_passes_through_the_pixels_of_the_small_one(over):
    g = picture(over=over)
    small, large = (render(g, scale=s, dtype=np.float32) for s in (1, 3))
    assert np.abs(large[1::3, 1::3] - small).max() < 1e-4


def area_averaged(x: np.ndarray, factor: int) -> np.ndarray:
    return x.reshape(x.shape[0] // factor, factor, x.shape[1] // factor, factor, -1).mean((1, 3))


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(x - y).mean()))


@pytest.mark.parametrize("factor", [2, 4])
def test_a_smaller_picture_is_the_mean_of_the_pixels_that_it_covers(factor):
    rng = np.random.default_rng(3)
    n, size = 400, (128, 160)
    sigma = np.exp(rng.uniform(np.log(0.8), np.log(8), (2, n)))
    shapes = np.stack([1 / sigma[0], rng.normal(0, 0.5, n) / sigma[0], 1 / sigma[1]], 1).astype(np.float32)
    xy = rng.uniform(0, (size[1], size[0]), (n, 2)).astype(np.float32)
    g = Gaussians(*size, xy, shapes, rng.normal(0, 0.3, (n, 3)).astype(np.float32))
    wanted = area_averaged(render(g, dtype=np.float32), factor)
    assert psnr(render(g, scale=1 / factor, dtype=np.float32), wanted) > 44


def moments_of(x: np.ndarray) -> np.ndarray:
    """Sum, mean column and row, and covariance of a gray picture as a density."""
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]].reshape(2, -1)
    weight = x.reshape(-1).astype(np.float64)
    mean = np.average([columns, rows], axis=1, weights=weight)
    return np.concatenate([[weight.sum()], mean, np.cov([columns, rows], aweights=weight, ddof=0).ravel()])


@pytest.mark.parametrize("slant", [0, 0.4, -0.7])
def test_a_shrunk_gaussian_has_the_sum_the_place_and_the_covariance_of_the_means(slant):
    """On average over places within a pixel: so narrow a kernel is sampled coarsely."""
    off, factor = [], np.float32([[0.5, 0.5 * slant, 0.4]])
    for x, y in itertools.product((46, 47, 48, 49), repeat=2):
        one = Gaussians(96, 96, np.float32([[x + 0.3, y + 0.1]]), factor, np.ones((1, 1), np.float32))
        wanted = area_averaged(render(one, dtype=np.float32)[..., None], 4)[..., 0]
        off.append(moments_of(render(one, scale=0.25, dtype=np.float32)) - moments_of(wanted))
    assert np.abs(np.mean(off, 0)).max() < 0.003


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 2.5])
def test_the_smallest_pictures_are_drawn(size, scale):
    g = Gaussians(*size, np.zeros((1, 2), np.float32), np.float32([[0.01, 0, 0.01]]), np.full((1, 3), 0.5, np.float32))
    drawn = render(g, scale=scale)
    assert drawn.shape == (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)), 3)
    assert abs(int(drawn[0, 0, 0]) - 127) <= 2


def test_no_gaussians_are_the_background():
    g = Gaussians(5, 7, *(np.zeros((0, k), np.float32) for k in (2, 3, 3)))
    assert (render(g) == 0).all()
    g = Gaussians(5, 7, g.xy, g.factor, g.colour, background=np.float32([0, 0.2, 1]))
    assert (render(g) == (0, 51, 255)).all()


def test_what_is_not_there_cannot_be_drawn():
    g = picture()
    for region in [(-1, 0, 5, 5), (0, 0, 61, 5), (0, 80, 5, 5), (0, 0, 0, 5)]:
        with pytest.raises(UsageError, match="is not within the 60 x 83 pixels drawn"):
            render(g, region=region)
    for scale in (0, 0.2, 8.1, np.nan, -1):
        with pytest.raises(UsageError, match=r"drawn at 0\.25 to 8\.0 of their size"):
            render(g, scale=scale)
    with pytest.raises(UsageError, match="dtype=int16"):
        render(g, dtype=np.int16)
    with pytest.raises(UsageError, match="threads=0"):
        render(g, threads=0)


def test_memory_beyond_the_pixels_does_not_grow_with_the_height():
    """As floats the picture would take 24 MB, in bands about 2."""
    g = picture(200, 4000, 500)
    render(g)
    tracemalloc.start()
    try:
        pixels = render(g)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most - pixels.nbytes < 4e6
