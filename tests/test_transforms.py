"""Every registered transform keeps its promises: exact ones are exact, linear ones linear, causal ones causal."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midtread.errors import UsageError
from midtread.kernels import twins
from midtread.registry import TRANSFORMS
from midtread.transforms.base import Chain
from midtread.transforms.colour import YCbCr, YCoCgR
from midtread.transforms.wavelet import Wavelet53, Wavelet97

NAMES = TRANSFORMS.names()
COLOURS = ["ycocg-r", "rct", "ycbcr", "klt"]
EXACT = [name for name in NAMES if TRANSFORMS.get(name).exact]
FLOAT = [name for name in NAMES if not TRANSFORMS.get(name).exact]
INTEGER_ONLY = [name for name in EXACT if name not in ("none", "planes")]
LINEAR = [name for name in NAMES if TRANSFORMS.get(name).linear]
CAUSAL = [name for name in NAMES if TRANSFORMS.get(name).causal]
DTYPES = ["uint8", "int8", "uint16", "int16", "int32"]

every_transform = pytest.mark.parametrize("name", NAMES)
seldom = settings(max_examples=25, deadline=None, derandomize=True, database=None)


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    """Small inputs would run on the slow twins; here the compiled ones are wanted (test_transforms_twins ties both)."""
    monkeypatch.setattr(twins, "WORTH_COMPILING", 0)


def shape_for(name: str, height: int, width: int) -> tuple[int, ...]:
    if name in COLOURS:
        return height, width, 3 + (height + width) % 2
    return (2, height, width) if name != "planes" else (height, width, 5)


def samples(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Anything the dtype holds, its ends included."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 100, shape).astype(dtype)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    ends = rng.random(shape)
    return np.where(ends < 0.1, info.min, np.where(ends > 0.9, info.max, x)).astype(dtype)


def shapes() -> list[tuple[int, int]]:
    """All sizes 1 .. 40 as rows, as columns, and as both."""
    return sorted({pair for n in range(1, 41) for pair in ((1, n), (n, 1), (n, n), (n, 41 - n), (n, 7))})


@every_transform
def test_the_registered_name_is_the_name_of_the_class(name):
    assert TRANSFORMS.get(name).name == name
    assert TRANSFORMS.get(name).summary


@pytest.mark.parametrize("name", EXACT)
def test_exact_transforms_give_back_every_integer_at_every_size(name):
    transform = TRANSFORMS.get(name)()
    for number, (height, width) in enumerate(shapes()):
        x = samples(shape_for(name, height, width), DTYPES[number % len(DTYPES)], number)
        latents = transform.forward(x)
        assert latents.shape == (transform.latent_shape(x.shape))
        assert latents.dtype.kind in "iu"
        np.testing.assert_array_equal(transform.inverse(latents), x, err_msg=f"{x.shape} {x.dtype}")


@pytest.mark.parametrize("name", INTEGER_ONLY)
@pytest.mark.parametrize("dtype", DTYPES)
@seldom
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_exact_transforms_take_every_integer_dtype(name, dtype, height, width, seed):
    transform = TRANSFORMS.get(name)()
    x = samples(shape_for(name, height, width), dtype, seed)
    np.testing.assert_array_equal(transform.inverse(transform.forward(x)), x)


@pytest.mark.parametrize("name", FLOAT)
def test_float_transforms_give_back_samples_within_1e_4_at_every_size(name):
    transform = TRANSFORMS.get(name)()
    for number, (height, width) in enumerate(shapes()):
        x = samples(shape_for(name, height, width), ("float32", "uint8", "uint16", "float64")[number % 4], number)
        x_hat = transform.inverse(transform.forward(x))
        assert x_hat.dtype == np.float32
        assert np.abs(x_hat - x).max() <= 1e-4 * max(np.abs(x).max(), 1), x.shape


@pytest.mark.parametrize("name", LINEAR)
@seldom
@given(height=st.integers(1, 24), width=st.integers(1, 24), seed=st.integers(0, 99))
def test_linear_transforms_are_linear(name, height, width, seed):
    transform = TRANSFORMS.get(name)()
    dtype = "int16" if transform.exact else "float32"
    shape = shape_for(name, height, width)
    x, y = (samples(shape, dtype, seed + i) // (1 if dtype == "float32" else 64) for i in range(2))
    both = transform.forward((2 * x - 3 * y).astype(dtype)).astype(np.float64)
    apart = 2.0 * transform.forward(x.astype(dtype)) - 3.0 * transform.forward(y.astype(dtype))
    assert np.abs(both - apart).max() <= (0 if transform.exact else 1e-4 * max(np.abs(apart).max(), 1))


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_transforms_never_look_ahead(name):
    transform = TRANSFORMS.get(name)()
    x = samples((7, 9), "int16")
    latents = transform.forward(x).reshape(-1)
    for place in range(x.size):
        y = x.copy()
        y.reshape(-1)[place] ^= 0x55
        changed = transform.forward(y).reshape(-1)
        np.testing.assert_array_equal(changed[:place], latents[:place])
        assert changed[place] != latents[place]


@every_transform
def test_input_is_untouched_and_may_be_read_only_strided_or_big_endian(name):
    transform = TRANSFORMS.get(name)()
    x = samples(shape_for(name, 9, 12), "int16" if transform.exact else "float32")
    latents = transform.forward(x)
    for other in (
        np.repeat(x, 2, 1)[:, ::2],
        np.asfortranarray(x),
        x.astype(x.dtype.newbyteorder(">")),
        np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    ):
        before = other.copy()
        np.testing.assert_array_equal(transform.forward(other), latents)
        np.testing.assert_array_equal(other, before)
    frozen = latents.copy()
    frozen.flags.writeable = False
    x_hat = transform.inverse(frozen)
    np.testing.assert_array_equal(frozen, latents)
    np.testing.assert_array_equal(transform.inverse(np.asfortranarray(latents)), x_hat)


@every_transform
def test_what_is_no_signal_is_refused(name):
    transform = TRANSFORMS.get(name)()
    x = samples(shape_for(name, 4, 5), "float32")
    with pytest.raises(UsageError, match="takes a NumPy array, got list"):
        transform.forward(x.tolist())
    with pytest.raises(UsageError, match="takes integer or float samples, got complex64"):
        transform.forward(x.astype(np.complex64))
    with pytest.raises(UsageError, match="takes integer or float samples, got bool"):
        transform.forward(x > 0)
    with pytest.raises(UsageError, match=r"takes arrays .*, got shape \[0, 5, 3\]"):
        transform.forward(np.zeros((0, 5, 3), np.uint8))
    with pytest.raises(UsageError, match="takes"):
        transform.forward(np.array(3))
    for bad in (np.nan, np.inf, -np.inf):
        x[1, 2, 0] = bad
        with pytest.raises(UsageError, match=rf"finite samples only; sample \(1, 2, 0\) is {bad}"):
            transform.forward(x)
        with pytest.raises(UsageError, match="finite samples only; sample"):
            transform.inverse(np.where(np.ones(transform.latent_shape(x.shape)), bad, 0))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("none", "lorenzo")])
def test_a_line_of_samples_is_no_picture(name):
    with pytest.raises(UsageError, match=r"got (shape )?\[12\]"):
        TRANSFORMS.get(name)().forward(np.arange(12))


@pytest.mark.parametrize("name", INTEGER_ONLY)
def test_integer_transforms_refuse_floats_and_what_int32_does_not_hold(name):
    transform = TRANSFORMS.get(name)()
    x = samples(shape_for(name, 4, 5), "float64")
    with pytest.raises(UsageError, match="takes integer samples, got float64; choose a float transform"):
        transform.forward(x)
    with pytest.raises(UsageError, match=r"fit int32, got \[\d+, 4294967296\]"):
        transform.forward(np.full(x.shape, 2**32) - (x > 0))
    with pytest.raises(UsageError, match="fit int32"):
        transform.inverse(np.full(transform.latent_shape(x.shape), 1e10))


@pytest.mark.parametrize("name", INTEGER_ONLY)
def test_float_latents_of_integer_transforms_are_rounded_first(name):
    transform = TRANSFORMS.get(name)()
    x = samples(shape_for(name, 8, 9), "uint8")
    latents = transform.forward(x)
    near = latents + np.random.default_rng(0).uniform(-0.49, 0.49, latents.shape)
    np.testing.assert_array_equal(transform.inverse(near.astype(np.float32)), x)


def test_float_transforms_refuse_what_would_overflow_float32():
    with pytest.raises(UsageError, match=r"samples up to 1e\+35 are too large"):
        Wavelet97().forward(np.full((4, 4), 1e35))


def test_options_out_of_range_are_refused():
    for name, options in (
        ("wavelet53", {"levels": -1}),
        ("wavelet97", {"levels": 2.0}),
        ("dct", {"size": 65}),
        ("dct-int", {"size": 1}),
        ("packet97", {"levels": 11}),
        ("gradient", {"scale": 0}),
        ("lorenzo", {"axes": True}),
    ):
        option, value = next(iter(options.items()))
        with pytest.raises(UsageError, match=f"transform '{name}': {option}={value}; it takes a whole number in"):
            TRANSFORMS.get(name)(**options)
    with pytest.raises(UsageError, match="standard='bt2020'; it takes bt601, bt709"):
        YCbCr("bt2020")


def test_lorenzo_predicts_in_as_many_dimensions_as_asked():
    lorenzo = TRANSFORMS.get("lorenzo")
    x = samples((3, 4, 5, 6), "int16").astype(np.int64)
    padded = np.pad(x, ((1, 0),) * 4)
    expected = 0
    for corner in np.ndindex(2, 2, 2, 2):  # alternating sum over the corners of the cube
        shifted = tuple(slice(1 - c, n + 1 - c) for c, n in zip(corner, x.shape, strict=True))
        expected = expected + (-1) ** sum(corner) * padded[shifted]
    np.testing.assert_array_equal(lorenzo().forward(x), expected)
    np.testing.assert_array_equal(lorenzo(1).forward(x), np.diff(x, axis=-1, prepend=0))
    for axes in range(5):
        np.testing.assert_array_equal(lorenzo(axes).inverse(lorenzo(axes).forward(x)), x)
    np.testing.assert_array_equal(lorenzo().inverse(lorenzo().forward(x[0, 0, 0])), x[0, 0, 0])
    with pytest.raises(UsageError, match="along 5 axes takes no array of 4"):
        lorenzo(5).forward(x)


def test_predictors_predict_photographs_as_their_papers_say():
    """A plane is predicted without error, an edge by the sample along it."""
    med, paeth = TRANSFORMS.get("med")(), TRANSFORMS.get("paeth")()
    up, left, corner = 10, 50, 10  # an edge from above: follow left
    picture = np.array([[corner, up], [left, 99]])
    assert med.forward(picture)[1, 1] == 99 - 50
    assert paeth.forward(picture)[1, 1] == 99 - 50
    picture = np.array([[20, 30], [40, 99]])  # corner 20, up 30, left 40: their plane 50, above both
    assert med.forward(picture)[1, 1] == 99 - 40
    assert paeth.forward(picture)[1, 1] == 99 - 40
    ramp = np.add.outer(3 * np.arange(8), 2 * np.arange(8))
    assert not TRANSFORMS.get("gradient")().forward(np.full((6, 6), 77))[1:].any()
    assert not TRANSFORMS.get("lorenzo")().forward(ramp)[1:, 1:].any()


def test_a_chain_is_a_transform_whose_bands_are_named_and_weighed_by_all_its_steps():
    chain = Chain((YCoCgR(), Wavelet53(3)))
    x = samples((17, 23, 4), "uint8")
    latents = chain.forward(x)
    assert latents.shape == chain.latent_shape(x.shape) == (4, 17, 23)
    np.testing.assert_array_equal(chain.inverse(latents), x)
    assert chain.exact
    assert not chain.linear
    assert not chain.causal
    bands = chain.bands(x.shape)
    covered = np.zeros(latents.shape, int)
    for band in bands:
        covered[band.index] += 1
    assert (covered == 1).all()
    assert [bands[0].name, bands[-1].name] == ["Y/LL3", "A/HH1"]
    plane, inner = YCoCgR().bands(x.shape)[1], Wavelet53(3).bands((17, 23))[2]
    band = next(band for band in bands if band.name == f"Co/{inner.name}")
    assert band.norm == plane.norm * inner.norm
    with pytest.raises(UsageError, match="only whole planes can be divided into bands"):
        Chain((Wavelet53(), Wavelet53())).bands((8, 8))


def test_small_pictures_never_import_numba_and_large_ones_give_the_same():
    code = """
import sys, hashlib, numpy as np
from midtread.registry import TRANSFORMS
from midtread.kernels import twins
def digest():
    total = hashlib.sha256()
    for name in TRANSFORMS.names():
        transform = TRANSFORMS.get(name)()
        x = np.random.default_rng(1).integers(0, 256, (21, 30, 3)).astype(np.uint8)
        total.update(np.ascontiguousarray(transform.forward(x)).tobytes())
    return total.hexdigest()
small = digest()
assert 'numba' not in sys.modules
twins.WORTH_COMPILING = 0
assert digest() == small
assert 'numba' in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
