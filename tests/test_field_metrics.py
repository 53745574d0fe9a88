"""Metrics of fields: against SciPy, scikit-image and plain formulas; what is missing does not count, nor get lost."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from midtread.errors import UsageError
from midtread.metrics.field_structure import central_slices, power_spectrum
from midtread.metrics.fields import over_bound, reference
from midtread.registry import METRICS

NAMES = tuple(name for name in METRICS.names() if METRICS.get(name).signal == "tensor")
BEST = {"range_psnr_db": math.inf, "slice_ssim": 1.0}
every_metric = pytest.mark.parametrize("name", NAMES)


def measure(name: str, x: np.ndarray, x_hat: np.ndarray) -> float:
    return METRICS.get(name)(x, x_hat)


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """float64: a random walk along every axis, so that low frequencies are strong."""
    x = np.random.default_rng(seed).standard_normal(shape)
    for axis in range(len(shape)):
        x = np.cumsum(x, axis)
    return x


def noisy(x: np.ndarray, share: float = 0.003, seed: int = 1) -> np.ndarray:
    """With noise of a share of the range."""
    bound = share * (np.nanmax(x) - np.nanmin(x))
    return (x + np.random.default_rng(seed).uniform(-bound, bound, x.shape)).astype(x.dtype)


def test_there_are_five_of_them():
    assert set(NAMES) == {"range_psnr_db", "nrmse", "gradient_error", "spectrum_error", "slice_ssim"}


# -- against others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint16"])
def test_range_psnr_and_nrmse_agree_with_scikit_image(dtype):
    from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio

    x = (100 * smooth((20, 30, 25))).astype(dtype)
    y = noisy(x)
    span = float(x.max()) - float(x.min())
    x64, y64 = x.astype(float), y.astype(float)
    assert measure("range_psnr_db", x, y) == pytest.approx(peak_signal_noise_ratio(x64, y64, data_range=span), abs=1e-9)
    expected = normalized_root_mse(x64, y64, normalization="min-max")
    assert measure("nrmse", x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(40, 61), (24, 31, 40), (2, 16, 20, 12)])
def test_ssim_of_slices_agrees_with_scikit_image(shape):
    from skimage.metrics import structural_similarity

    x = smooth(shape)
    y = noisy(x, 0.05)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    scaled = [(one - x.min()) / (x.max() - x.min()) for one in (x, y)]
    planes = [(a, b) for a, b in zip(*map(central_slices, scaled), strict=True) if min(a.shape) >= 11]
    assert len(planes) == (1 if len(shape) == 2 else 3)
    maps = [structural_similarity(a, b, full=True, **options)[1][5:-5, 5:-5].mean() for a, b in planes]
    assert measure("slice_ssim", x, y) == pytest.approx(np.mean(maps), abs=1e-9)


def test_the_slices_are_those_through_the_middle():
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    for found, expected in zip(central_slices(x), (x[1, 1], x[1, :, 2], x[1, :, :, 2]), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(8,), (9,), (6, 7), (5, 6, 7), (8, 8, 8), (2, 4, 5, 6)])
def test_the_power_spectrum_is_that_of_the_whole_transform_shell_by_shell(shape):
    from scipy import fft

    x = smooth(shape)
    axes = shape[-3:]
    scaled = (x - x.min()) / (x.max() - x.min())
    power = np.abs(fft.fftn(scaled, axes=tuple(range(-len(axes), 0)))) ** 2
    frequency = np.sqrt(sum(np.square(one) for one in np.meshgrid(*map(fft.fftfreq, axes), indexing="ij")))
    shells = np.rint(frequency * max(axes))
    found = power_spectrum(x)
    assert found.frequency[0] == 1 / max(axes)
    assert found.frequency[-1] == (max(axes) // 2) / max(axes)
    for k, mean in zip(found.frequency, found.power, strict=True):
        assert mean == pytest.approx(power.reshape(-1, *axes)[:, shells == round(k * max(axes))].mean())


def test_the_spectrum_error_is_the_worst_ratio_up_to_half_the_nyquist_frequency():
    x = np.random.default_rng(0).standard_normal((32, 32, 32))
    transform = np.fft.fftn(x)
    radius = np.sqrt(sum(np.square(one) for one in np.meshgrid(*[np.fft.fftfreq(32, 1 / 32)] * 3, indexing="ij")))

    def louder(low: float, high: float, gain: float) -> np.ndarray:
        return np.fft.ifftn(transform * np.where((radius >= low) & (radius < high), gain, 1)).real

    assert measure("spectrum_error", x, louder(3.5, 4.5, 1.1)) == pytest.approx(0.21, abs=1e-9)
    assert measure("spectrum_error", x, louder(7.5, 8.5, 0.9)) == pytest.approx(0.19, abs=1e-9)
    assert measure("spectrum_error", x, louder(8.5, 99, 2.0)) == pytest.approx(0, abs=1e-9)


def test_shells_without_power_do_not_decide():
    wave = np.sin(2 * np.pi * np.arange(64) / 64)  # all of its power is in the first shell; the others are rounding
    x = np.add.outer(wave, wave)
    assert measure("spectrum_error", x, x * (1 + 1e-9)) < 1e-8


@pytest.mark.parametrize("shape", [(50,), (30, 41), (7, 300, 1000)])
def test_the_gradient_error_is_that_of_numpy_diff_on_all_axes(shape):
    x = smooth(shape)
    y = noisy(x)

    def total(values: np.ndarray) -> float:
        return sum(np.square(np.diff(values, axis=axis)).sum() for axis in range(values.ndim))

    assert measure("gradient_error", x, y) == pytest.approx(math.sqrt(total(y - x) / total(x)), rel=1e-9)


# -- what does not count ----------------------------------------------------------------------------------------------

FILLS = [np.nan, np.inf, -np.inf, 1e20, -9.96921e36]


@pytest.mark.parametrize("fill", FILLS)
@every_metric
def test_missing_values_take_no_part(name, fill):
    """With a third of the field missing, a metric is what it is without that third."""
    x = smooth((24, 24, 30)).astype(np.float32)
    y = noisy(x)
    cut = 20
    inside = np.s_[:, :, :cut]
    whole, whole_hat = x.copy(), y.copy()
    whole[:, :, cut:] = whole_hat[:, :, cut:] = fill
    found = measure(name, whole, whole_hat)
    if name == "spectrum_error":  # of other frequencies: the missing part is flat
        rest = [np.full((24, 24, 10), one[inside].mean(dtype=float)) for one in (x, y)]
        flat = [np.concatenate([one[inside], other], 2) for one, other in zip((x, y), rest, strict=True)]
        expected = measure(name, *flat)
        assert found == pytest.approx(expected, rel=1e-3)
    elif name == "slice_ssim":
        planes = [(x[12, :, :cut], y[12, :, :cut]), (x[:, 12, :cut], y[:, 12, :cut]), (x[:, :, 15], y[:, :, 15])]
        from skimage.metrics import structural_similarity

        low, span = float(x[inside].min()), float(x[inside].max()) - float(x[inside].min())
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
        pairs = [[(one.astype(float) - low) / span for one in pair] for pair in planes]
        maps = [structural_similarity(a, b, full=True, **options)[1][5:-5, 5:-5].mean() for a, b in pairs]
        assert found == pytest.approx(np.mean(maps), abs=1e-9)
    else:
        assert found == pytest.approx(measure(name, x[inside].copy(), y[inside].copy()), rel=1e-12)


@pytest.mark.parametrize("fill", FILLS)
@every_metric
def test_a_missing_value_that_was_not_kept_is_refused(name, fill):
    x = smooth((16, 16, 16))
    x[3:5, 4, 5] = fill
    y = noisy(np.where(np.abs(x) < 1e19, x, 0))
    y[3:5, 4, 5] = fill
    assert math.isfinite(measure(name, x, y))
    y[4, 4, 5] = 0.0
    with pytest.raises(UsageError, match=r"value at \(4, 4, 5\): .* in the source, 0\.0 .*\(1 such values\)"):
        measure(name, x, y)
    y[4, 4, 5], y[0, 0, 1] = fill, np.nan
    with pytest.raises(UsageError, match=r"value at \(0, 0, 1\)"):
        measure(name, x, y)


def test_rare_peaks_and_clipped_values_are_no_fill_values():
    density = np.exp(1.8 * np.random.default_rng(0).standard_normal((40, 40, 40)))
    assert reference(density) == (None, density.min(), density.max() - density.min())
    clipped = np.minimum(density, np.percentile(density, 99))
    assert reference(clipped).present is None
    assert reference(np.array([0.0, 0.0, 1.0, 1.0])).present is None
    single = np.append(smooth((99,)), 1e20)  # one value may be a measurement; codecs have to live with it
    assert reference(single).span == pytest.approx(1e20)


def test_whole_numbers_have_fill_values_too():
    x = np.array([-9999, 270, 280, 275, -9999, 272], np.int16)
    found = reference(x)
    np.testing.assert_array_equal(found.present, x != -9999)
    assert (found.lowest, found.span) == (270, 10)
    assert measure("nrmse", x, x + np.where(x > 0, 1, 0).astype(np.int16)) == pytest.approx(0.1)


# -- borders ----------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1e30, 1e300])
def test_units_do_not_matter(name, scale):
    x = smooth((16, 18, 20))
    y = noisy(x)
    assert measure(name, scale * x, scale * y) == pytest.approx(measure(name, x, y), rel=1e-9)


@every_metric
def test_equal_fields_get_the_best_value_also_constant_ones(name):
    for x in (smooth((16, 16, 16)), np.full((16, 16, 16), 2.5, np.float32), smooth((16, 16, 16)).astype(np.int32)):
        assert measure(name, x, x.copy()) == BEST.get(name, 0.0)


@every_metric
def test_a_constant_field_that_changed_has_no_number(name):
    x = np.full((16, 16, 16), 2.5)
    y = noisy(smooth((16, 16, 16)))
    if name == "slice_ssim":  # has one: nothing alike
        assert measure(name, x, y) < 0.1
        return
    with pytest.raises(UsageError, match=r"use 'max_error'"):
        measure(name, x, y)


@every_metric
def test_bfloat16_is_measured_as_the_float32_it_stands_for(name):
    x = smooth((16, 16, 16)).astype(ml_dtypes.bfloat16)
    y = noisy(x.astype(np.float32), 0.05).astype(ml_dtypes.bfloat16)
    assert measure(name, x, y) == pytest.approx(measure(name, x.astype(np.float32), y.astype(np.float32)), rel=1e-12)


@every_metric
def test_a_source_that_was_measured_before_is_known_only_while_it_cannot_change(name):
    x = smooth((16, 16, 16))
    y = noisy(x)
    first = measure(name, x, y)
    x.flags.writeable = False
    assert measure(name, x, y) == measure(name, x, y) == first
    x.flags.writeable = True
    measure(name, x, y)
    x[0, 0, 0] += 100
    assert measure(name, x, y) == measure(name, x.copy(), y) != first


@every_metric
def test_what_cannot_be_measured_says_why(name):
    for x in (np.zeros((0, 3)), np.full((16, 16), np.nan), np.zeros((16, 16), complex), np.zeros((16, 16), bool)):
        with pytest.raises(UsageError, match=r"at least one value|no value of this field|takes? integers or floats"):
            measure(name, x, x.copy())
    tiny = np.zeros(())
    if name not in ("nrmse", "range_psnr_db"):
        with pytest.raises(UsageError, match=r"two neighbours|two values|central slice"):
            measure(name, tiny, tiny.copy())


# -- the bound --------------------------------------------------------------------------------------------------------


def test_the_error_over_the_bound_and_its_violations_are_counted_value_by_value():
    x = np.array([0.0, 1.0, np.nan, np.inf, -np.inf, 1e20, -0.0])
    y = np.array([0.1, 1.0, np.nan, np.inf, -np.inf, 1e20, 0.0])
    assert over_bound(x, y, 0.1) == (1.0, 0)
    assert over_bound(x, y, 0.05) == (2.0, 1)
    for index, value in ((2, 0.0), (3, 1e308), (4, np.inf), (1, np.nan)):
        lost = y.copy()
        lost[index] = value
        assert over_bound(x, lost, 0.1) == (math.inf, 1)
    fill = y.copy()
    fill[5] = 0.99e20
    assert over_bound(x, fill, 0.1) == (pytest.approx(1e19), 1)


def test_the_bound_is_checked_in_float64_whatever_the_type():
    x = np.array([300.0], np.float32)
    y = np.nextafter(x, np.float32(1e9))
    assert over_bound(x, y, 3.0e-5)[1] == 1
    assert over_bound(x, y, 3.1e-5)[1] == 0
    zero, next_up = np.zeros(1), np.nextafter(0.1, 1)
    assert over_bound(zero, zero + next_up, 0.1) == (pytest.approx(1), 1)
    assert over_bound(zero, zero + 0.1, 0.1)[1] == 0
    low, high = np.array([np.iinfo(np.int64).min]), np.array([np.iinfo(np.int64).max])
    assert over_bound(low, high, 1e18) == (pytest.approx(18.446744, rel=1e-6), 1)
    assert over_bound(np.zeros((0,)), np.zeros((0,)), 1.0) == (0.0, 0)
