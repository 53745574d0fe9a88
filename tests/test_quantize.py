"""Quantizers: what a symbol stands for, how far a latent may move, and the closed forms they must meet."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midtread.errors import UsageError
from midtread.kernels import twins
from midtread.quantize.base import Band
from midtread.quantize.companding import MuLaw, PowerLaw
from midtread.quantize.digit_planes import DigitPlanes
from midtread.quantize.lloyd_max import LloydMax, design
from midtread.quantize.per_band import PerBand
from midtread.quantize.rate_distortion import RateDistortion, own_rates
from midtread.quantize.uniform import DeadZone, Identity, Uniform
from midtread.registry import QUANTIZERS

NAMES = QUANTIZERS.names()
ALL = [
    Uniform(0.7),
    DeadZone(0.7),
    RateDistortion(0.7),
    MuLaw(0.05, peak=40),
    PowerLaw(0.5),
    LloydMax(8, scale=10),
    DigitPlanes(0.7, 2, 10),
    DigitPlanes(0.7, 3, 7, scale=9.0),
    PerBand(
        ((Band("left", (..., slice(0, 3)), 1.0), Uniform(0.3)), (Band("right", (..., slice(3, None)), 2.0), DeadZone()))
    ),
]
every_quantizer = pytest.mark.parametrize("quantizer", ALL, ids=lambda q: q.name)
seldom = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    """Small inputs would run on the slow twins; here the compiled ones are wanted (test_transforms_twins ties both)."""
    monkeypatch.setattr(twins, "WORTH_COMPILING", 0)


def laplacian(shape: tuple[int, ...] = (4000,), scale: float = 5.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).laplace(0, scale, shape).astype(np.float32)


def entropy(symbols: np.ndarray) -> float:
    """Bits per symbol of the histogram."""
    _, counts = np.unique(symbols, return_counts=True)
    p = counts / counts.sum()
    return float(-(p * np.log2(p)).sum())


def gaussian_grid(n: int = 2**18) -> tuple[np.ndarray, np.ndarray]:
    """Places and their probabilities under the standard normal density."""
    z = np.linspace(-8, 8, n + 1)
    weights = np.exp(-z * z / 2)
    return z, weights / weights.sum()


@pytest.mark.parametrize("name", NAMES)
def test_the_registered_name_is_the_name_of_the_class(name):
    assert QUANTIZERS.get(name).name == name
    assert QUANTIZERS.get(name).summary


def test_every_registered_quantizer_is_tested_here():
    assert {quantizer.name for quantizer in ALL} == set(NAMES) - {"none"}


@every_quantizer
@pytest.mark.parametrize("shape", [(5, 7), (3, 1, 8), (0, 4), (6,)])
def test_symbols_are_int32_of_the_same_shape_and_come_back_as_float32(quantizer, shape):
    z = laplacian(shape)
    before = z.copy()
    symbols = quantizer.quantize(z)
    assert (symbols.dtype, symbols.shape) == (np.int32, shape)
    z_hat = quantizer.dequantize(symbols)
    assert (z_hat.dtype, z_hat.shape) == (np.float32, shape)
    np.testing.assert_array_equal(z, before)


@every_quantizer
def test_any_layout_of_the_same_latents_gives_the_same_symbols(quantizer):
    z = laplacian((6, 10))
    symbols = quantizer.quantize(z)
    z_hat = quantizer.dequantize(symbols)
    frozen = np.frombuffer(z.tobytes(), z.dtype).reshape(z.shape)
    for other in (np.asfortranarray(z), np.repeat(z, 2, 1)[:, ::2], z.astype(">f4"), frozen, z.astype(np.float64)):
        np.testing.assert_array_equal(quantizer.quantize(other), symbols)
    for other in (np.asfortranarray(symbols), symbols.astype(np.int64), symbols.astype(">i4")):
        np.testing.assert_array_equal(quantizer.dequantize(other), z_hat)


@every_quantizer
def test_a_restored_latent_gets_its_own_symbol_again(quantizer):
    symbols = quantizer.quantize(laplacian((300, 8)))
    if quantizer.name != "rdoq":  # chooses by rate, too
        np.testing.assert_array_equal(quantizer.quantize(quantizer.dequantize(symbols)), symbols)


@every_quantizer
def test_symbols_are_odd_or_nearly_so(quantizer):
    z = laplacian((999,))
    if quantizer.name not in ("lloyd-max", "per-band"):
        np.testing.assert_array_equal(quantizer.quantize(-z), -quantizer.quantize(z))
        np.testing.assert_array_equal(
            quantizer.dequantize(quantizer.quantize(-z)), -quantizer.dequantize(quantizer.quantize(z))
        )


@every_quantizer
def test_latents_that_are_no_numbers_are_refused_with_their_place(quantizer):
    for bad in (np.nan, np.inf, -np.inf):
        for dtype in (np.float32, np.float64):
            z = laplacian((4, 6)).astype(dtype)
            z[2, 1] = bad
            with pytest.raises(UsageError, match=rf"takes finite latents only; sample \(2, 1\) is {bad}"):
                quantizer.quantize(z)
    with pytest.raises(UsageError, match="takes a NumPy array, got list"):
        quantizer.quantize([1.0])
    for dtype in (bool, np.complex64, object):
        with pytest.raises(UsageError, match="takes float or integer latents, got"):
            quantizer.quantize(np.zeros((2, 4), dtype))


@pytest.mark.parametrize(
    "quantizer", [q for q in ALL if q.name not in ("lloyd-max", "per-band", "mu-law")], ids=lambda q: q.name
)
def test_symbols_beyond_int32_are_refused_not_wrapped(quantizer):
    for dtype in (np.float32, np.float64):
        with pytest.raises(
            UsageError, match=r"step=.* is too small for latents up to 3e\+30: .* more than int32 holds"
        ):
            quantizer.quantize(np.array([1, -3e30], dtype))


@every_quantizer
def test_symbols_that_are_none_are_refused(quantizer):
    with pytest.raises(UsageError, match="takes an integer array of symbols, got float64"):
        quantizer.dequantize(np.zeros((2, 4)))
    with pytest.raises(UsageError, match="symbols that fit int32"):
        quantizer.dequantize(np.full((2, 4), 2**31))
    for upto in (-1, quantizer.parts + 1, 1.0, True):
        with pytest.raises(UsageError, match=rf"upto={upto} is not in \[0, {quantizer.parts}\]"):
            quantizer.dequantize(np.zeros((2, 4), np.int32), upto)
    assert not quantizer.dequantize(quantizer.quantize(laplacian((3, 9))), 0).any()


@every_quantizer
def test_hostile_symbols_give_latents_or_a_clear_error(quantizer):
    extreme = np.array([[-(2**31), 2**31 - 1, 1, 0]], np.int32)
    if quantizer.name == "lloyd-max":
        with pytest.raises(UsageError, match="has 8 levels"):
            quantizer.dequantize(extreme)
    else:
        assert (np.sign(quantizer.dequantize(extreme)) == np.sign(extreme)).all()


@pytest.mark.parametrize(
    ("quantizer", "options"),
    [
        (Uniform, {"step": 0}),
        (Uniform, {"step": math.nan}),
        (DeadZone, {"rounding": 0.6}),
        (DeadZone, {"point": -0.1}),
        (RateDistortion, {"slope": -1.0}),
        (MuLaw, {"mu": 0.0}),
        (PowerLaw, {"exponent": 2}),
        (LloydMax, {"levels": 0}),
        (DigitPlanes, {"base": 4}),
        (DigitPlanes, {"planes": 32}),
        (DigitPlanes, {"scale": "wide"}),
    ],
)
def test_options_out_of_range_are_refused(quantizer, options):
    option, value = next(iter(options.items()))
    with pytest.raises(UsageError, match=f"quantizer '{quantizer.name}': {option}={value!r}; it takes a"):
        quantizer(**options)


def test_steps_beyond_float32_are_refused():
    with pytest.raises(UsageError, match="step=1e-38 is beyond float32"):
        Uniform(1e-38).quantize(np.zeros(3, np.float32))


def test_integers_are_their_own_symbols():
    z = np.random.default_rng(0).integers(-(2**31), 2**31, (5, 6)).astype(np.int32)
    for dtype in (np.int32, np.int64):
        symbols = Identity().quantize(z.astype(dtype))
        np.testing.assert_array_equal(symbols, z)
        np.testing.assert_array_equal(Identity().dequantize(symbols), z)
    with pytest.raises(UsageError, match="takes an integer array of symbols, got float32"):
        Identity().quantize(np.zeros(3, np.float32))


@seldom
@given(step=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_uniform_moves_a_latent_by_at_most_half_a_step(step, seed):
    """Latents half-way between two multiples, where the distance is largest, and their float neighbours."""
    k = np.random.default_rng(seed).integers(-(2**20), 2**20, 500)
    middle = ((k + 0.5) * step).astype(np.float32)
    z = np.concatenate([middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))])
    z_hat = Uniform(step).dequantize(Uniform(step).quantize(z)).astype(np.float64)
    assert (np.abs(z - z_hat) <= step / 2 + 2.0**-22 * np.abs(z)).all()
    precise = Uniform(step, precise=True)
    wide = (k + 0.5) * step
    z_hat = precise.dequantize(precise.quantize(wide))
    assert z_hat.dtype == np.float64
    assert (np.abs(wide - z_hat) <= step / 2 * (1 + 1e-9)).all()


def test_integer_latents_are_quantized_exactly():
    z = np.array([2**31 - 1, -(2**31) + 200, 2**24 + 1, 5], np.int32)
    np.testing.assert_array_equal(Uniform(1.0).quantize(z[1:]), z[1:])
    np.testing.assert_array_equal(Uniform(3).quantize(z), np.rint(z / 3))
    np.testing.assert_array_equal(Uniform(2.0).quantize(np.array([-3, -1, 0, 1, 3], np.int16)), [-2, 0, 0, 0, 2])


def test_uniform_coded_at_its_entropy_loses_a_quarter_bit_at_high_rate():
    """0.2546 bit = log2(2 pi e / 12) / 2 over the rate-distortion function of the Gaussian, to 3 digits."""
    z, weights = gaussian_grid()
    quantizer = Uniform(0.02, precise=True)
    symbols = quantizer.quantize(z)
    p = np.bincount(symbols - symbols.min(), weights)
    rate = -(p[p > 0] * np.log2(p[p > 0])).sum()
    distortion = (weights * np.square(z - quantizer.dequantize(symbols))).sum()
    assert rate - 0.5 * np.log2(1 / distortion) == pytest.approx(0.2546, abs=5e-5)


@pytest.mark.parametrize("rounding", [0.0, 0.25, 1 / 3, 0.5])
def test_dead_zone_has_the_intervals_it_says(rounding):
    quantizer = DeadZone(2.0, rounding, point=0.25)
    edges = 2.0 * (np.arange(1, 50) - rounding)
    np.testing.assert_array_equal(quantizer.quantize((edges + 1e-4).astype(np.float32)), np.arange(1, 50))
    np.testing.assert_array_equal(quantizer.quantize((edges - 1e-4).astype(np.float32)), np.arange(0, 49))
    restored = quantizer.dequantize(np.arange(-3, 4, dtype=np.int32))
    places = 2.0 * (np.arange(1, 4) - rounding + 0.25)
    np.testing.assert_allclose(restored, [*-places[::-1], 0, *places], rtol=1e-6)


def test_the_fitted_point_has_the_least_error():
    z = laplacian(scale=3.0)
    fitted = DeadZone(4.0).fit_point(z)
    symbols = fitted.quantize(z)

    def error(point: float) -> float:
        return float(np.square(z - DeadZone(4.0, point=point).dequantize(symbols)).mean())

    assert 0.2 < fitted.point < 0.5
    assert error(fitted.point) <= min(error(fitted.point - 0.02), error(fitted.point + 0.02))
    assert DeadZone().fit_point(np.zeros(4, np.float32)).point == 0.5


def test_rdoq_takes_the_cheapest_of_all_symbols_near_and_below():
    z = laplacian(scale=4.0)
    rates = np.cumsum(np.random.default_rng(1).uniform(0.3, 2, (2, 40)), 1)
    rates[1, 1:] += 20  # zero is so cheap in this class that even 2 gives way to it
    classes = (np.arange(z.size) % 2).astype(np.uint8)
    quantizer = RateDistortion(1.5, slope=0.3, shift=-0.1)
    symbols = quantizer.quantize_with(z, rates, classes)
    a = np.abs(z) / 1.5
    nearest = np.rint(a).astype(int)
    candidates = np.stack([nearest, np.maximum(nearest - 1, 0), 0 * nearest])
    error = a - np.where(candidates > 0, candidates - 0.1, 0)
    cost = error**2 + 0.3 * rates[classes, candidates]
    chosen = candidates[cost.argmin(0), np.arange(z.size)]
    assert (np.abs(symbols) == chosen).mean() > 0.999  # float32 against float64
    assert ((nearest > 1) & (symbols == 0)).any()
    assert (np.sign(symbols) == np.where(symbols == 0, 0, np.sign(z))).all()
    free = RateDistortion(1.5, slope=0.0)
    np.testing.assert_array_equal(free.quantize(z), Uniform(1.5).quantize(z))


@pytest.mark.parametrize("step", [1.0, 4.0, 12.0])
def test_rdoq_has_a_lower_cost_than_uniform_and_dead_zone_quantizers(step):
    z = laplacian((40_000,))
    slope = math.log(2) / 6

    def cost(quantizer) -> float:
        symbols = quantizer.quantize(z)
        return np.square((z - quantizer.dequantize(symbols)) / step).mean() + slope * entropy(symbols)

    best = cost(RateDistortion(step).fit_shift(z))
    assert best <= cost(RateDistortion(step)) + 1e-4
    assert best < cost(Uniform(step))
    assert best < cost(DeadZone(step, 0.5).fit_point(z)) + 1e-4
    assert best < cost(DeadZone(step, 1 / 3).fit_point(z)) + 2e-3


def test_own_rates_are_the_entropy_of_the_symbols():
    symbols = DeadZone(1.0).quantize(laplacian())
    rates = own_rates(symbols)
    assert rates[np.abs(symbols)].mean() == pytest.approx(entropy(symbols), rel=0.02)
    assert (np.diff(rates[:2]) > 0).all()
    assert np.isfinite(rates).all()


def test_rates_and_classes_that_do_not_fit_are_refused():
    z = laplacian((6,))
    for rates in ([1.0], np.ones((2, 2, 2)), [1.0, math.inf]):
        with pytest.raises(UsageError, match="rates must be finite bits"):
            RateDistortion().quantize_with(z, np.array(rates))
    for classes in (np.zeros(5, np.uint8), np.full(6, 2, np.uint8)):
        with pytest.raises(
            UsageError, match=r"classes must have the shape \[6\] of the latents and values in \[0, 1\]"
        ):
            RateDistortion().quantize_with(z, np.ones((2, 3)), classes)


def test_per_band_gives_each_band_its_step_and_names_the_band_that_fails():
    left, right = Band("left", (..., slice(0, 2)), 0.5), Band("right", (..., slice(2, 5)), 2.0)
    quantizer = PerBand.by_norm((left, right), DeadZone(1.0, 0.5))
    assert [q.step for _, q in quantizer.bands] == [2.0, 0.5]
    z = laplacian((3, 6))
    symbols = quantizer.quantize(z)
    np.testing.assert_array_equal(symbols[:, :2], DeadZone(2.0, 0.5).quantize(z[:, :2]))
    np.testing.assert_array_equal(symbols[:, 2:5], DeadZone(0.5, 0.5).quantize(z[:, 2:5]))
    assert not symbols[:, 5].any()
    np.testing.assert_array_equal(quantizer.dequantize(symbols)[:, :2], DeadZone(2.0, 0.5).dequantize(symbols[:, :2]))
    z[1, 3] = np.nan
    with pytest.raises(UsageError, match=r"band right: .* sample \(1, 1\) is nan"):
        quantizer.quantize(z)
    with pytest.raises(UsageError, match="quantizer 'lloyd-max' has no step"):
        PerBand.by_norm((left,), LloydMax())
    planes = PerBand(((left, DigitPlanes(planes=3)), (right, DigitPlanes(planes=5))))
    assert planes.parts == 5
    symbols = planes.quantize(np.abs(laplacian((3, 6), 0.5)))
    np.testing.assert_array_equal(planes.dequantize(symbols, 4)[:, :2], planes.dequantize(symbols)[:, :2])
    np.testing.assert_array_equal(
        planes.dequantize(symbols, 4)[:, 2:5], DigitPlanes(planes=5).dequantize(symbols[:, 2:5], 4)
    )


@pytest.mark.parametrize(
    "quantizer", [MuLaw(0.01, peak=20.0, mu=100.0), PowerLaw(0.05, 0.6), PowerLaw(1.0, 1.0)], ids=repr
)
def test_companded_steps_grow_as_the_curve_says(quantizer):
    symbols = np.arange(-200, 201, dtype=np.int32)
    places = quantizer.dequantize(symbols).astype(np.float64)
    assert (np.diff(places) > 0).all()
    slope = np.gradient(quantizer.curve(np.abs(places[201:])), places[201:])
    np.testing.assert_allclose((np.gradient(places[201:]) * slope)[4:], quantizer.step, rtol=0.02)
    z = laplacian()
    error = np.abs(quantizer.curve(np.abs(z)) - quantizer.curve(np.abs(quantizer.dequantize(quantizer.quantize(z)))))
    assert error.max() <= quantizer.step / 2 * (1 + 1e-3)


def test_mu_law_keeps_the_relative_error_of_large_and_small_latents_alike():
    """8-bit mu-law as in telephony: within 1 dB of 38 dB over a range of 30 dB."""
    quantizer = MuLaw(1 / 127, peak=1.0, mu=255.0)
    for scale in (0.01, 0.03, 0.1, 0.25):
        z = np.random.default_rng(0).normal(0, scale, 20_000).astype(np.float32)
        error = np.square(z - quantizer.dequantize(quantizer.quantize(z))).mean()
        assert 10 * np.log10(scale**2 / error) == pytest.approx(36, abs=3)


@pytest.mark.parametrize(("bits", "snr_db"), [(2, 9.30), (3, 14.62), (4, 20.22)])
def test_lloyd_max_has_the_signal_to_noise_ratio_of_max_1960(bits, snr_db):
    z, weights = gaussian_grid()
    quantizer = LloydMax(2**bits, "gaussian")
    z_hat = quantizer.dequantize(quantizer.quantize(z))
    assert -10 * np.log10((weights * np.square(z - z_hat)).sum()) == pytest.approx(snr_db, abs=5e-3)


@pytest.mark.parametrize(("source", "levels"), [("gaussian", 7), ("laplace", 8), ("uniform", 5)])
def test_lloyd_max_levels_are_means_of_what_goes_to_them(source, levels):
    rng = np.random.default_rng(0)
    z = {
        "gaussian": lambda: rng.normal(0, 2, 400_000),
        "laplace": lambda: rng.laplace(0, 2 / math.sqrt(2), 400_000),
        "uniform": lambda: rng.uniform(-2 * math.sqrt(3), 2 * math.sqrt(3), 400_000),
    }[source]()
    quantizer = LloydMax(levels, source, scale=2.0)
    symbols = quantizer.quantize(z)
    assert (symbols.min(), symbols.max()) == (-(levels // 2), (levels - 1) // 2)
    means = [z[symbols == symbol].mean() for symbol in np.unique(symbols)]
    np.testing.assert_allclose(quantizer.codebook, means, atol=0.05)
    nearest = quantizer.codebook[np.abs(z[:2000, None] - quantizer.codebook).argmin(1)]
    np.testing.assert_allclose(quantizer.dequantize(symbols[:2000]), nearest, rtol=1e-6)


def test_lloyd_max_fits_data_and_finds_as_many_levels_as_there_are_values():
    z = np.repeat(np.array([-3.0, 0.5, 7.0, 8.0], np.float32), [5, 1, 2, 2])
    assert LloydMax.fit(z, 9).points == (-3.0, 0.5, 7.0, 8.0)
    assert LloydMax.fit(z, 3).points == (-3.0, 0.5, 7.5)
    assert LloydMax.fit(np.full(5, 2.5), 4).points == (2.5,)
    np.testing.assert_allclose(design(np.arange(10.0), np.ones(10), 2), [2, 7])
    fitted = LloydMax.fit(laplacian(), 16)
    better = np.square(laplacian() - fitted.dequantize(fitted.quantize(laplacian()))).mean()
    general = LloydMax(16, "laplace", scale=5 * math.sqrt(2))
    assert better <= np.square(laplacian() - general.dequantize(general.quantize(laplacian()))).mean()
    with pytest.raises(UsageError, match="no latents at all"):
        LloydMax.fit(np.zeros(0), 3)
    with pytest.raises(UsageError, match="ascending"):
        LloydMax(points=(1.0, 1.0))
    with pytest.raises(UsageError, match="source='cauchy'; it takes gaussian, laplace, uniform"):
        LloydMax(source="cauchy")
    with pytest.raises(UsageError, match=r"has 8 levels, symbols \[-4, 3\]; got \[0, 4\]"):
        LloydMax(8).dequantize(np.array([0, 4]))


@pytest.mark.parametrize("base", [2, 3])
def test_every_prefix_of_fitted_digit_planes_decodes_to_the_conditional_mean(base):
    z = laplacian((20_000,))
    quantizer = DigitPlanes.fit(z, 0.5, base)
    symbols = quantizer.quantize(z)
    digits = quantizer.digits(symbols)
    assert digits.shape == (quantizer.planes, *z.shape)
    assert set(np.unique(digits)) == {-1, 0, 1}
    np.testing.assert_array_equal(quantizer.join(digits), symbols)
    errors = []
    for known in range(quantizer.planes + 1):
        z_hat = quantizer.dequantize(symbols, known)
        prefix = quantizer.join(digits[:known]) if known else np.zeros_like(symbols)
        np.testing.assert_array_equal(quantizer.dequantize(prefix, known), z_hat)  # later digits do not matter
        cells = np.abs(prefix) // base ** (quantizer.planes - known)
        for cell in range(1, 3):  # cells with a mean of their own; magnitudes, as a mean is the same for both signs
            held = cells == cell
            if held.any():
                assert np.abs(z_hat[held]).mean() == pytest.approx(np.abs(z[held]).mean(), rel=1e-4)
        errors.append(np.square(z - z_hat).mean())
    assert (np.diff(errors) < 0).all()
    middle = DigitPlanes(0.5, base, quantizer.planes)
    for known in range(1, quantizer.planes):
        assert errors[known] <= np.square(z - middle.dequantize(symbols, known)).mean()


@pytest.mark.parametrize("base", [2, 3])
def test_laplacian_digit_planes_decode_to_the_mean_of_the_density(base):
    step, planes, scale = 0.5, 6, 4.0
    quantizer = DigitPlanes(step, base, planes, scale=scale)
    z = np.linspace(0, 60 if base == 3 else 31.9, 600_001)
    density = np.exp(-z / scale)
    symbols = quantizer.quantize(z)
    for known in range(1, planes + 1):
        z_hat = quantizer.dequantize(symbols, known)
        for value in np.unique(z_hat)[1:4]:
            held = z_hat == value
            if z[held].max() < z[-1]:  # the grid does not cut this cell
                assert value == pytest.approx((density * z)[held].sum() / density[held].sum(), rel=2e-3)


def test_prefixes_are_coarser_quantizers_of_their_own():
    z = laplacian()
    for known in range(1, 9):
        left = 8 - known
        binary = DigitPlanes(0.25, 2, 8)
        coarse = DeadZone(0.25 * 2**left, 0.0, 0.5)
        np.testing.assert_allclose(binary.dequantize(binary.quantize(z), known), coarse.dequantize(coarse.quantize(z)))
        ternary = DigitPlanes(0.25, 3, 8)
        coarse = Uniform(0.25 * 3**left)
        same = ternary.dequantize(ternary.quantize(z), known) == coarse.dequantize(coarse.quantize(z))
        assert same.mean() > 0.999  # ties at the borders of cells may fall on either side


def test_digit_planes_say_how_many_symbols_they_hold():
    assert DigitPlanes(1.0, 2, 4).quantize(np.array([-15.9]))[0] == -15
    with pytest.raises(UsageError, match=r"4 planes of base 2 hold symbols up to 15; latents up to 16 .* need 16"):
        DigitPlanes(1.0, 2, 4).quantize(np.array([16.0]))
    assert DigitPlanes(1.0, 3, 3).quantize(np.array([13.4]))[0] == 13
    with pytest.raises(UsageError, match=r"3 planes of base 3 hold symbols up to 13; .* need 14; take more planes"):
        DigitPlanes(1.0, 3, 3).quantize(np.array([-14.0]))
    with pytest.raises(UsageError, match=r"offsets has 2 rows; planes \+ 1 = 9 are needed"):
        DigitPlanes(offsets=((0.0,), (0.0,)))


def test_small_inputs_never_import_numba_and_large_ones_give_the_same():
    code = """
import sys, numpy as np
from midtread.kernels import twins
from midtread.quantize.uniform import DeadZone, Uniform
from midtread.quantize.rate_distortion import RateDistortion
from midtread.quantize.lloyd_max import LloydMax
from midtread.quantize.digit_planes import DigitPlanes
z = np.random.default_rng(0).laplace(0, 5, 999).astype(np.float32)
def results():
    for q in (Uniform(.3), DeadZone(.3), RateDistortion(.3), LloydMax(5), DigitPlanes(.3, 3, 8)):
        symbols = q.quantize(z)
        yield symbols.tobytes() + q.dequantize(symbols).tobytes()
small = list(results())
assert 'numba' not in sys.modules
twins.WORTH_COMPILING = 0
assert list(results()) == small
assert 'numba' in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
