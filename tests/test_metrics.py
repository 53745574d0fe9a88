"""The metrics: each against an implementation that is not ours, and at the borders of what it takes."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

import metrics_references as references
from metrics_references import damaged, measure, photo
from midtread.errors import UsageError
from midtread.metrics import filters, pictures
from midtread.registry import METRICS
from midtread.spec import Metric

ANY_SHAPE = ("psnr_db", "max_error")
PICTURES = tuple(n for n in METRICS.names() if n not in ANY_SHAPE and METRICS.get(n).signal != "tensor")
BEST = {"psnr_db": math.inf, "psnr_yuv611_db": math.inf, "ssim": 1, "ms_ssim": 1, "ssimulacra2": 100, "vmaf": 97.428}
BEST |= {"range_psnr_db": math.inf, "slice_ssim": 1}
SMALLEST = {"ssim": 11, "ms_ssim": 176, "ssimulacra2": 8, "vmaf": 64, "lpips": 31, "dists": 16}

every_metric = pytest.mark.parametrize("name", METRICS.names())
every_picture_metric = pytest.mark.parametrize("name", PICTURES)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with references.one_torch_thread():
        yield


def small(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its damaged copy, about as small as `name` allows."""
    side = max(40, SMALLEST.get(name, 1))
    return photo(side, side + 3), damaged(photo(side, side + 3), 12)


# --- every metric -----------------------------------------------------------------------------------------------------


@every_metric
def test_registered_name_is_the_objects_name_and_the_recipe_is_told(name):
    metric = METRICS.get(name)
    assert isinstance(metric, Metric)
    assert metric.name == name
    assert metric.label
    assert len(metric.recipe) > 40


def test_importing_every_metric_imports_numpy_only():
    code = (
        "import sys; from midtread.registry import METRICS; from midtread.metrics import rate_distortion\n"
        "[METRICS.get(name) for name in METRICS.names()]\n"
        "print(sorted({'scipy', 'torch', 'torchmetrics', 'imageio_ffmpeg', 'skimage', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@every_metric
def test_equal_pictures_get_the_best_value(name):
    x, _ = small(name)
    assert measure(name, x, x.copy()) == pytest.approx(BEST.get(name, 0), abs=1e-3)


@every_metric
def test_more_damage_is_a_worse_value(name):
    x, _ = small(name)
    values = [measure(name, x, damaged(x, step)) for step in (3, 24, 96)]
    assert values == sorted(values, reverse=METRICS.get(name).better == "higher")
    assert len(set(values)) == 3


@every_metric
def test_memory_layout_and_byte_order_do_not_matter_and_inputs_stay_untouched(name):
    x, y = (p.astype(np.uint16) * 257 for p in small(name))
    expected = measure(name, x, y)
    for change in (np.asfortranarray, lambda p: np.repeat(p, 2, 1)[:, ::2], lambda p: p.astype(">u2")):
        a, b = change(x), change(y)
        a.flags.writeable = b.flags.writeable = False
        assert measure(name, a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)
        np.testing.assert_array_equal(a, x)


@every_picture_metric
def test_gray_is_measured_like_rgb_with_three_equal_channels(name):
    x, y = (p[..., 1] for p in small(name))
    stacked = (np.stack([p] * 3, -1) for p in (x, y))
    assert measure(name, x, y) == pytest.approx(measure(name, *stacked), rel=1e-6, abs=1e-6)


@every_picture_metric
def test_transparency_is_measured_over_a_background(name):
    x, y = small(name)
    opaque = np.full((*x.shape[:2], 1), 255, np.uint8)
    with_alpha = [np.concatenate([p, opaque], -1) for p in (x, y)]
    assert measure(name, *with_alpha) == pytest.approx(measure(name, x, y), rel=1e-5, abs=1e-6)
    clear = [np.concatenate([p, 0 * opaque], -1) for p in (x, y)]  # the colours differ, and nobody can see it
    assert measure(name, *clear) == measure(name, clear[0], clear[0])
    half = np.concatenate([x, opaque // 2], -1)
    assert measure(name, with_alpha[0], half) != pytest.approx(measure(name, x, x), abs=1e-3)
    gray_alpha = [p[..., [1, 3]] for p in with_alpha]
    assert measure(name, *gray_alpha) == pytest.approx(measure(name, x[..., 1], y[..., 1]), rel=1e-5, abs=1e-6)


@every_picture_metric
def test_sixteen_bits_and_floats_give_the_value_of_eight_bits(name):
    x, y = small(name)
    expected = measure(name, x, y)
    tolerance = 0.5 if name == "vmaf" else 1e-6 + 1e-5 * abs(expected)  # VMAF: luma is rounded to 8 bits for uint8 only
    assert measure(name, x.astype(np.uint16) * 257, y.astype(np.uint16) * 257) == pytest.approx(expected, abs=tolerance)
    assert measure(name, x / 255, y / 255) == pytest.approx(expected, abs=tolerance)


@every_picture_metric
@pytest.mark.parametrize("shape", [(200,), (200, 200, 5), (200, 200, 1), (3, 200, 200, 3)])
def test_what_is_no_picture_is_refused(name, shape):
    with pytest.raises(UsageError, match=r"takes pictures \[H, W\]"):
        measure(name, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


@every_picture_metric
def test_floats_that_are_not_display_values_are_refused(name):
    x = small(name)[0] / 255
    for value, message in ((1.5, "display values"), (-0.1, "display values"), (np.nan, "finite"), (np.inf, "finite")):
        bad = x.copy()
        bad[3, 4, 1] = value
        with pytest.raises(UsageError, match=message):
            measure(name, bad, x)
    with pytest.raises(UsageError, match=r"sample \(3, 4, 1\) of the reconstruction is inf"):
        measure(name, x, bad)
    above = np.where(x > 0.5, 1.1, x)
    assert measure(name, x, above) == measure(name, x, np.minimum(above, 1)), "a display clips"
    with pytest.raises(UsageError, match="uint8, uint16 or float"):
        measure(name, x.astype(np.int32), x.astype(np.int32))


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_picture_is_measured_and_a_smaller_one_refused(name):
    side = SMALLEST[name]
    x = photo(side, side)
    assert math.isfinite(measure(name, x, damaged(x, 12)))
    for smaller in (x[:-1], x[:, :-1], x[:1, :1]):
        with pytest.raises(UsageError, match=f"at least {side} x {side} pixels"):
            measure(name, smaller, smaller)


@pytest.mark.parametrize("name", ["psnr_db", "psnr_yuv611_db", "max_error", "flip"])
def test_one_pixel_is_enough_where_there_is_no_window(name):
    x, y = np.array([[[10, 20, 30]]], np.uint8), np.array([[[12, 20, 30]]], np.uint8)
    assert math.isfinite(METRICS.get(name)(x, y))


# --- PSNR and maximum error -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_psnr_agrees_with_scikit_image(dtype):
    from skimage.metrics import peak_signal_noise_ratio

    scale = np.iinfo(dtype).max // 255
    x, y = (p.astype(dtype) * scale for p in (photo(300, 400), damaged(photo(300, 400), 9)))  # more than one block
    expected = peak_signal_noise_ratio(x, y, data_range=np.iinfo(dtype).max)
    assert METRICS.get("psnr_db")(x, y) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(7,), (4, 5), (3, 4, 5, 6), ()])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "uint32"])
def test_psnr_and_maximum_error_take_arrays_of_any_shape(shape, dtype):
    x = (np.arange(math.prod(shape)) % 100).reshape(shape).astype(dtype)
    x_hat = (x + 1).astype(dtype)
    assert METRICS.get("max_error")(x, x_hat) == 1
    assert METRICS.get("max_error")(x_hat, x) == 1
    if x.dtype.kind == "f" and x.size > 1:
        assert METRICS.get("psnr_db")(x, x_hat) == pytest.approx(20 * math.log10(x.max()))
    elif x.dtype.kind != "f":
        assert METRICS.get("psnr_db")(x, x_hat) == pytest.approx(20 * math.log10(2 ** (8 * x.dtype.itemsize) - 1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_the_largest_difference_of_an_integer_type_does_not_wrap(dtype):
    info = np.iinfo(dtype)
    low, high = np.array([info.min, 0], dtype), np.array([info.max, 0], dtype)
    full = float(info.max) - float(info.min)
    assert METRICS.get("max_error")(low, high) == METRICS.get("max_error")(high, low) == full
    assert METRICS.get("psnr_db")(low, high) == pytest.approx(10 * math.log10(2))


def test_alpha_counts_like_a_colour_in_psnr_and_maximum_error():
    x = np.zeros((4, 4, 4), np.uint8)
    y = x.copy()
    y[..., 3] = 51
    assert METRICS.get("psnr_db")(x, y) == pytest.approx(20 * math.log10(5) + 10 * math.log10(4))
    assert METRICS.get("max_error")(x, y) == 51


@pytest.mark.parametrize("scale", [1e-300, 1e-5, 1.0, 1e30, 1e300])
def test_range_psnr_of_floats_does_not_depend_on_units(scale):
    x = np.linspace(-1, 1, 1001)
    y = x + 0.01 * (-1) ** np.arange(1001)
    assert METRICS.get("psnr_db")(x * scale, y * scale) == pytest.approx(20 * math.log10(2 / 0.01), abs=1e-6)


@pytest.mark.parametrize("name", ANY_SHAPE)
def test_samples_that_are_not_finite_must_agree_and_are_left_out(name):
    x = np.linspace(0, 1, 12).reshape(3, 4)
    y = x + 0.25
    expected = METRICS.get(name)(x[:2], y[:2])
    x[2], y[2] = [np.nan, np.inf, -np.inf, np.nan], [np.nan, np.inf, -np.inf, np.nan]
    value = METRICS.get(name)(x, y)
    assert value == (pytest.approx(expected) if name == "psnr_db" else 0.25)
    for wrong in (0.5, np.inf, np.nan):
        z = y.copy()
        z[2, 2] = wrong
        for pair in ((x, z), (z, x)):
            with pytest.raises(UsageError, match=r"sample \(2, 2\): .*\(1 such samples\)"):
                METRICS.get(name)(*pair)
    with pytest.raises(UsageError, match="no finite sample"):
        METRICS.get(name)(np.full(3, np.nan), np.full(3, np.nan))


@pytest.mark.parametrize("name", ANY_SHAPE)
def test_empty_arrays_and_things_that_are_not_numbers_are_refused(name):
    with pytest.raises(UsageError, match="at least one sample"):
        METRICS.get(name)(np.zeros((0, 3)), np.zeros((0, 3)))
    for dtype in (bool, complex, "U1", np.longdouble):
        with pytest.raises(UsageError, match="takes integers or floats"):
            METRICS.get(name)(np.zeros(3, dtype), np.zeros(3, dtype))


def test_psnr_of_a_constant_field_is_inf_or_refused():
    x = np.full((3, 3), 2.5)
    assert METRICS.get("psnr_db")(x, x.copy()) == math.inf
    with pytest.raises(UsageError, match=r"2\.5 everywhere.*use 'max_error'"):
        METRICS.get("psnr_db")(x, x + 1)
    huge = np.array([-1.7e308, 1.7e308])
    with pytest.raises(UsageError, match="overflows float64"):
        METRICS.get("psnr_db")(huge, huge / 2)


def test_psnr_yuv611_agrees_with_the_planes_of_scikit_images_matrix_for_bt709():
    """The inverse of the decoding matrix in BT.709, computed here from its two luma coefficients alone."""
    x, y = photo(40, 50) / 255.0, damaged(photo(40, 50), 12) / 255.0
    red, blue = 0.2126, 0.0722
    green = 1 - red - blue
    decode = np.array(
        [[1, 0, 2 - 2 * red], [1, -blue * (2 - 2 * blue) / green, -red * (2 - 2 * red) / green], [1, 2 - 2 * blue, 0]]
    )
    yuv, yuv_hat = (p @ np.linalg.inv(decode).T for p in (x, y))
    planes = [-10 * math.log10(((yuv[..., c] - yuv_hat[..., c]) ** 2).mean()) for c in range(3)]
    assert METRICS.get("psnr_yuv611_db")(x, y) == pytest.approx(np.dot([6, 1, 1], planes) / 8, abs=1e-9)


def test_psnr_yuv611_leaves_error_free_planes_out():
    x = photo(40, 50)
    y = np.clip(x.astype(int) + 3, 0, 255).astype(np.uint8)  # wherever nothing clips, the chroma is untouched
    inside = (x.max(-1) < 250)[..., None]
    x, y = np.where(inside, x, 100), np.where(inside, y, 103)
    assert METRICS.get("psnr_yuv611_db")(x, y) == pytest.approx(20 * math.log10(255 / 3), abs=1e-9)
    assert METRICS.get("psnr_yuv611_db")(x[..., 0], y[..., 0]) == pytest.approx(20 * math.log10(255 / 3), abs=1e-9)


def test_srgb_curve_is_that_of_colour_scientists_and_linear_in_the_dark():
    from skimage.color import rgb2xyz

    gray = np.linspace(0, 1, 1001)
    expected = rgb2xyz(gray[None, :, None].repeat(3, 2))[0, :, 1]  # Y of gray is its linear value
    np.testing.assert_allclose(pictures.srgb_to_linear(gray), expected, atol=1e-6)
    assert pictures.srgb_to_linear(np.array([0.04])) == pytest.approx(0.04 / 12.92, rel=1e-12)


# --- SSIM and MS-SSIM -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(11, 11), (40, 61), (133, 96)])
@pytest.mark.parametrize("step", [2, 12, 60])
def test_ssim_agrees_with_scikit_image(shape, step):
    from skimage.metrics import structural_similarity

    x, y = photo(*shape), damaged(photo(*shape), step)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    # scikit-image forms variances of uint8 in float64; at 11 x 11 its mean covers the one valid place, as ours does.
    expected = structural_similarity(x, y, channel_axis=2, **options)
    assert METRICS.get("ssim")(x, y) == pytest.approx(expected, abs=1e-6)
    expected = structural_similarity(x[..., 0], y[..., 0], **options)
    assert METRICS.get("ssim")(x[..., 0], y[..., 0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(176, 176), (211, 258)])
@pytest.mark.parametrize("step", [2, 12, 60])
def test_ms_ssim_agrees_with_torchmetrics_and_scikit_image(shape, step):
    x, y = photo(*shape), damaged(photo(*shape), step)
    expected = np.mean([references.ms_ssim_of_plane(x[..., c] / 255, y[..., c] / 255) for c in range(3)])
    assert METRICS.get("ms_ssim")(x, y) == pytest.approx(expected, abs=2e-6)


def test_ms_ssim_of_a_negative_is_zero_and_not_a_complex_number():
    x = photo(176, 176)
    assert METRICS.get("ms_ssim")(x, 255 - x) == 0


@pytest.mark.parametrize("border", ["valid", "zero", "edge"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (15, 16), (17, 33), (2, 40, 70)])
def test_filters_agree_with_scipy(shape, border):
    from scipy import ndimage

    x = np.random.default_rng(0).random(shape)
    taps, other = np.array([0.1, 0.2, 0.4, 0.2, -0.3]), np.array([1.0, 0.0, 2.0, 0.5, 0.25])
    if border == "valid" and min(shape[-2:]) < 5:
        x = np.pad(x, 4)
    modes = {"valid": "constant", "zero": "constant", "edge": "nearest"}
    expected = ndimage.correlate1d(ndimage.correlate1d(x, other, -1, mode=modes[border]), taps, -2, mode=modes[border])
    expected = expected[..., 2:-2, 2:-2] if border == "valid" else expected
    np.testing.assert_allclose(filters.separable(x, taps, other, border), expected, atol=1e-13)
