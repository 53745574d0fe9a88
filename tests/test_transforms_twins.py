"""Compiled kernels equal their slow twins, to the last bit; the slow twins are the definition."""

import hashlib
import inspect

import numpy as np
import pytest

from midtread.kernels import (
    colour,
    colour_slow,
    dct,
    dct_slow,
    predict,
    predict_slow,
    quantize,
    quantize_slow,
    wavelet53,
    wavelet53_slow,
    wavelet97,
    wavelet97_slow,
)
from midtread.kernels.twins import pick
from midtread.transforms.dct import dct_matrix, program

PAIRS = [
    (wavelet53, wavelet53_slow),
    (wavelet97, wavelet97_slow),
    (dct, dct_slow),
    (predict, predict_slow),
    (colour, colour_slow),
    (quantize, quantize_slow),
]
SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (1, 9), (8, 1), (5, 4), (16, 16), (17, 31), (40, 27)]


def whole(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def real(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).laplace(0, 20, shape).astype(np.float32)


def functions_of(module) -> dict[str, object]:
    def ours(thing) -> bool:
        return callable(thing) and getattr(thing, "__module__", "") == module.__name__ and not inspect.isclass(thing)

    return {name: thing for name, thing in vars(module).items() if ours(thing) and not name.startswith("_")}


@pytest.mark.parametrize(("fast", "slow"), PAIRS, ids=lambda module: module.__name__.split(".")[-1])
def test_every_compiled_function_has_a_twin_with_the_same_arguments(fast, slow):
    for name, function in functions_of(fast).items():
        assert inspect.signature(getattr(function, "py_func", function)) == inspect.signature(getattr(slow, name))
    for constant in ("ALPHA", "BETA", "GAMMA", "DELTA", "SHIFT"):
        assert getattr(fast, constant, None) == getattr(slow, constant, None)


@pytest.mark.parametrize("dtype", ["int16", "int32"])
@pytest.mark.parametrize("levels", [1, 2, 5])
def test_wavelet53_equals_its_twin(dtype, levels):
    for height, width in SIZES:
        x = whole((2, height, width), dtype)
        fast, slow = np.zeros_like(x), np.zeros_like(x)
        wavelet53.forward(x, fast, levels)
        wavelet53_slow.forward(x, slow, levels)
        np.testing.assert_array_equal(fast, slow)
        for drop in range(levels):
            smaller = np.zeros((2, ((height - 1) >> drop) + 1, ((width - 1) >> drop) + 1), dtype)
            other = smaller.copy()
            wavelet53.inverse(fast, smaller, levels, drop)
            wavelet53_slow.inverse(fast, other, levels, drop)
            np.testing.assert_array_equal(smaller, other)


def test_wavelet53_is_the_lifting_of_its_definition():
    """Against loops over samples with mirrored indices, on lines of every length to 40."""
    for n in range(2, 41):
        x = whole((n,), "int16", n).astype(int)

        def at(i: int, n: int = n, x: np.ndarray = x) -> int:
            i = abs(i)
            return int(x[i if i < n else 2 * (n - 1) - i])

        def high(k: int) -> int:
            return at(2 * k + 1) - (at(2 * k) + at(2 * k + 2)) // 2

        highs = [high(k) for k in range(n // 2)]
        lows = [at(2 * k) + (high(k - 1) + high(k) + 2) // 4 for k in range((n + 1) // 2)]
        np.testing.assert_array_equal(wavelet53_slow.split(x, 0), lows + highs)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_wavelet97_equals_its_twin_to_the_last_bit(levels):
    gains = np.random.default_rng(levels).uniform(0.5, 2, (levels, 4)).astype(np.float32)
    for height, width in SIZES:
        x = real((2, height, width))
        fast, slow = np.zeros_like(x), np.zeros_like(x)
        wavelet97.forward(x, fast, gains)
        wavelet97_slow.forward(x, slow, gains)
        np.testing.assert_array_equal(fast, slow)
        for drop in range(levels):
            smaller = np.zeros((2, ((height - 1) >> drop) + 1, ((width - 1) >> drop) + 1), np.float32)
            other = smaller.copy()
            wavelet97.inverse(fast, smaller, gains, drop)
            wavelet97_slow.inverse(fast, other, gains, drop)
            np.testing.assert_array_equal(smaller, other)


def test_wavelet97_has_the_filters_of_cohen_daubechies_feauveau():
    """Impulses through one level undone, against the published taps (JPEG 2000's, up to their scale)."""
    low, high = wavelet97_slow.join(np.eye(32)[[8, 16 + 8]], 1)
    published_low = np.array([-0.091271763114, -0.057543526229, 0.591271763114, 1.115087052457])
    published_high = np.array([0.026748757411, 0.016864118443, -0.078223266529, -0.266864118443, 0.602949018236])
    np.testing.assert_allclose(low[13:17] / low[16], published_low / published_low[-1], atol=1e-6)
    np.testing.assert_allclose(high[13:18] / high[17], published_high / published_high[-1], atol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 4, 8, 15])
def test_block_transforms_equal_their_twins(n):
    for height, width in [*SIZES, (9, 300)]:
        x = real((2, height, width))
        fast, slow = np.zeros_like(x), np.zeros_like(x)
        matrices = [dct_matrix(max(size, 1)).astype(np.float32) for size in (n, height % n, width % n)]
        dct.multiply(x, fast, n, *matrices)
        dct_slow.multiply(x, slow, n, *matrices)
        np.testing.assert_array_equal(fast, slow)
        x = whole((2, height, width), "int32")
        fast, slow = np.zeros_like(x), np.zeros_like(x)
        programs = [program(size) for size in (n, height % n, width % n)]
        for sign in (1, -1):
            dct.rotate(x, fast, n, *programs, sign)
            dct_slow.rotate(x, slow, n, *programs, sign)
            np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("rule", [0, 1, 2])
@pytest.mark.parametrize("extreme", [False, True])
def test_predictors_equal_their_twins(rule, extreme):
    for height, width in SIZES:
        x = whole((2, height, width), "int32" if extreme else "uint8").astype(np.int32)
        fast, slow = np.zeros_like(x), np.zeros_like(x)
        for way in ("forward", "inverse"):
            getattr(predict, way)(x, fast, rule, 2)
            getattr(predict_slow, way)(x, slow, rule, 2)
            np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize(("dtype", "wide"), [("uint8", "int16"), ("int32", "int32")])
def test_colours_equal_their_twins(dtype, wide):
    x = whole((777 * 3,), dtype)
    matrix = np.random.default_rng(0).normal(0, 1, (3, 3)).astype(np.float32)
    for rule in (0, 1):
        fast, slow = np.zeros((2, 3, 777), wide)
        colour.forward(x, fast, rule)
        colour_slow.forward(x, slow, rule)
        np.testing.assert_array_equal(fast, slow)
        for low, high in ((0, 255), (-(2**62), 2**62)):
            back, other = np.zeros((2, 777 * 3), wide)
            colour.inverse(whole((3, 777), wide), back, rule, low, high)
            colour_slow.inverse(whole((3, 777), wide), other, rule, low, high)
            np.testing.assert_array_equal(back, other)
    if dtype == "uint8":
        fast, slow = np.zeros((2, 3, 777), np.float32)
        colour.mix(x, fast, matrix)
        colour_slow.mix(x, slow, matrix)
        np.testing.assert_array_equal(fast, slow)
        back, other = np.zeros((2, 777 * 3), np.float32)
        colour.unmix(fast, back, matrix)
        colour_slow.unmix(fast, other, matrix)
        np.testing.assert_array_equal(back, other)
        back, other = np.zeros((2, 777 * 3), np.uint8)
        colour.unmix_round(fast, back, matrix, np.float32(0), np.float32(255))
        colour_slow.unmix_round(fast, other, matrix, np.float32(0), np.float32(255))
        np.testing.assert_array_equal(back, other)


def quantizer_calls() -> list[tuple[str, tuple, str]]:
    """(function, arguments but for the output, dtype of the output)."""
    rng = np.random.default_rng(3)
    z = real((9001,))
    z[:200] = np.arange(-100, 100) * 1.5  # exactly between two symbols
    symbols = np.concatenate([whole((2000,), "int32"), np.arange(-1000, 1000, dtype=np.int32), [-(2**31), 2**31 - 1]])
    bits = np.cumsum(rng.uniform(0.2, 2, (3, 12)), 1).astype(np.float32)
    bits[2, 1:] += 30  # zero is cheap
    classes = rng.integers(0, 3, z.size).astype(np.uint8)
    third = np.float32(1 / 3)
    return [
        ("uniform", (z, third), "int32"),
        ("dead_zone", (z, third, third), "int32"),
        ("restore", (symbols.astype(np.int32), np.float32(3), np.float32(0.2)), "float32"),
        *(
            ("restore_cells", (symbols.astype(np.int32), w, b, np.array([0, 0.4, 0.3], np.float32), third), "float32")
            for w, b in ((1, 0), (8, 0), (27, 13))
        ),
        *(("search", (z, np.sort(real((n,), n))), "int32") for n in (0, 1, 7, 200)),
        ("cheapest", (z, classes, bits, third, np.float32(-0.1), np.float32(0.2)), "int32"),
    ]


@pytest.mark.parametrize(("name", "arguments", "dtype"), quantizer_calls())
def test_quantizers_equal_their_twins(name, arguments, dtype):
    fast, slow = np.zeros((2, arguments[0].size), dtype)
    getattr(quantize, name)(arguments[0], fast, *arguments[1:])
    getattr(quantize_slow, name)(arguments[0], slow, *arguments[1:])
    np.testing.assert_array_equal(fast, slow)


def test_largest_sees_every_sample_that_is_not_finite():
    z = real((1001,))
    assert quantize.largest(z) == quantize_slow.largest(z) == np.abs(z).max()
    for bad in (np.nan, np.inf, -np.inf):
        z[500] = bad
        assert not np.isfinite(quantize.largest(z))
        assert not np.isfinite(quantize_slow.largest(z))


def test_the_slow_twin_runs_only_while_it_pays():
    assert pick("wavelet53", 10**6) is wavelet53
    assert pick("wavelet53", 1) is wavelet53  # it is loaded here anyway


def test_integer_tables_are_the_same_everywhere():
    """The multipliers of the integer DCT are part of the format: never change this digest."""
    total = hashlib.sha256()
    for n in range(65):
        total.update(program(n).astype("<i8").tobytes())
    assert total.hexdigest() == "065ee0c7d9fc4eeda6976b60314ce70abd4e1b99ff21f68839effc10f1e31382"
