"""Vector quantizers: the nearest entry, codebooks as good as theory says, and prefixes, grids and streams of them."""

import inspect
import itertools
import math

import numpy as np
import pytest

from midtread.errors import UsageError
from midtread.kernels import twins, vector, vector_slow
from midtread.quantize.lloyd_max import LloydMax
from midtread.quantize.vector import train as training
from midtread.quantize.vector.codebook import VectorQuantizer, usage
from midtread.quantize.vector.composed import ProductQuantizer, ResidualQuantizer
from midtread.quantize.vector.finite_scalar import FiniteScalar
from midtread.quantize.vector.moving import MovingCodebook
from midtread.quantize.vector.train import train


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    """Small inputs would run on the slow twins; here the compiled ones are wanted (the first test ties both)."""
    monkeypatch.setattr(twins, "WORTH_COMPILING", 0)


def gaussian(n: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimensions)).astype(np.float32)


def clusters(centres: np.ndarray, each: int, spread: float, seed: int = 0) -> np.ndarray:
    """`each` vectors about every centre, in random order."""
    rng = np.random.default_rng(seed)
    vectors = np.repeat(centres, each, axis=0) + spread * rng.normal(size=(len(centres) * each, centres.shape[1]))
    return rng.permutation(vectors).astype(np.float32)


def mean_error(z: np.ndarray, codebook: np.ndarray) -> float:
    """Squared error of a vector, coded with its nearest entry."""
    quantizer = VectorQuantizer(codebook)
    return float(np.square(z - quantizer.dequantize(quantizer.quantize(z))).sum(1, dtype=np.float64).mean())


# Kernels


@pytest.mark.parametrize("entries", [1, 2, 63, 1023, 1024, 1025, 2500])
@pytest.mark.parametrize("dimensions", [1, 2, 3, 17])
def test_compiled_search_equals_its_twin_to_the_last_bit(entries, dimensions):
    z, codebook = gaussian(300, dimensions), gaussian(entries, dimensions, seed=1)
    codebook[entries // 2 :] = codebook[: entries - entries // 2]  # ties
    results = []
    for twin in (vector, vector_slow):
        indices, errors = np.full(300, -1, np.int32), np.full(300, np.nan, np.float32)
        twin.nearest(z, codebook, indices, errors)
        lowered = np.full((min(5, entries), 300), np.nan, np.float32)
        twin.closer(np.ascontiguousarray(z.T), -codebook[:5], errors, lowered)
        results.append((indices, errors, lowered))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)


def test_every_compiled_function_has_a_twin_with_the_same_arguments():
    for name in ("nearest", "closer"):
        fast = getattr(vector, name)
        assert inspect.signature(getattr(fast, "py_func", fast)) == inspect.signature(getattr(vector_slow, name))


def test_the_nearest_entry_is_the_nearest_and_the_first_of_equals():
    z, codebook = gaussian(500, 4), gaussian(40, 4, seed=1)
    distances = np.square(z[:, None].astype(np.float64) - codebook).sum(2)
    np.testing.assert_array_equal(VectorQuantizer(codebook).quantize(z), distances.argmin(1))
    doubled = VectorQuantizer(np.concatenate([codebook, codebook]))
    np.testing.assert_array_equal(doubled.quantize(z), distances.argmin(1))


# Training


def test_separate_clusters_are_found_exactly():
    centres = 10 * np.array([[0, 0, 1], [5, 0, 0], [0, -5, 0], [9, 9, 9], [0, 5, -9]], np.float32)
    codebook = train(clusters(centres, 50, 0.01), 5)
    assert mean_error(centres, codebook) < 1e-4


@pytest.mark.parametrize(("levels", "snr_db"), [(4, 9.30), (16, 20.22)])
def test_one_dimension_meets_the_published_optimum(levels, snr_db):
    """Max's levels for a Gaussian; k-means stops within 0.12 dB of them."""
    z = gaussian(40_000, 1)
    got = -10 * math.log10(mean_error(z, train(z, levels)) / z.var(dtype=np.float64))
    best = LloydMax.fit(z, levels)
    assert got == pytest.approx(snr_db, abs=0.12)
    assert got <= -10 * math.log10(np.square(z - best.dequantize(best.quantize(z))).mean() / z.var()) + 1e-3


def test_two_dimensions_gain_over_scalars_what_the_hexagon_and_the_shape_allow():
    """Both spend 4 bits a sample. Zador's constants: at most 1.30 dB at high rates, 0.17 of it for hexagons."""
    z = gaussian(60_000, 2, seed=1)
    scalar = np.square(z - LloydMax(16).dequantize(LloydMax(16).quantize(z))).sum(1).mean()
    gain_db = 10 * math.log10(scalar / mean_error(z, train(gaussian(60_000, 2), 256)))
    assert 0.75 < gain_db < 1.30


def test_training_is_as_good_as_another_library():
    library = pytest.importorskip("scipy.cluster.vq", reason="SciPy is the other library")
    z = gaussian(3000, 3)
    theirs, _ = library.kmeans2(z, 64, iter=50, minit="++", seed=1)
    assert mean_error(z, train(z, 64)) < 1.03 * mean_error(z, theirs.astype(np.float32))


def test_the_best_of_several_seeds_makes_a_better_codebook():
    """Scikit-learn reaches 0.0253 on these vectors, seeds that are drawn once 0.0281."""
    z = gaussian(5000, 3)
    assert mean_error(z, train(z, 1024)) < 0.0262


def test_parts_that_nest_are_as_good_as_everything_at_once(monkeypatch):
    z = gaussian(40_000, 3)
    nested = mean_error(z, train(z, 32))
    monkeypatch.setattr(training, "FIRST_PART", 10**6)
    assert nested < 1.02 * mean_error(z, train(z, 32))


def test_the_same_seed_gives_the_same_codebook_and_leaves_the_vectors_alone():
    z = gaussian(4000, 3)
    before = z.copy()
    first, again, other = train(z, 50, seed=3), train(z, 50, seed=3), train(z, 50, seed=4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(z, before)
    np.testing.assert_array_equal(train(np.asfortranarray(z.astype(np.float64)), 50, seed=3), first)


def test_slow_twins_train_the_same_codebook(monkeypatch):
    z = gaussian(1000, 3)
    fast = train(z, 20)
    monkeypatch.setattr(training, "pick", lambda name, size: vector_slow)
    np.testing.assert_array_equal(train(z, 20), fast)


@pytest.mark.parametrize("entries", [5, 6, 1000])
def test_few_different_vectors_become_the_codebook(entries):
    values = gaussian(5, 3)
    codebook = train(np.repeat(values, 7, axis=0), entries)
    np.testing.assert_array_equal(np.unique(codebook, axis=0), np.unique(values, axis=0))


def test_vectors_that_are_rare_get_their_entries_too():
    """The first part, of 640 vectors, has hardly any of them."""
    z = np.zeros((100_000, 2), np.float32)
    z[::5000] = gaussian(20, 2)
    np.testing.assert_array_equal(np.unique(train(z, 21), axis=0), np.unique(z, axis=0))


@pytest.mark.parametrize("seed", range(4))
def test_every_entry_is_used(seed):
    z = clusters(gaussian(30, 2), 40, 0.02, seed)
    codebook = train(z, 200, seed)
    assert len(codebook) == 200
    assert usage(VectorQuantizer(codebook).quantize(z), 200)[0] == 1


def test_dead_entries_go_where_the_error_is_largest():
    """Ten entries far from everything: only one could ever be the nearest."""
    centres = 100 * gaussian(10, 3)
    z = clusters(centres, 30, 0.01)
    far = np.full((10, 3), 1e6, np.float32) + np.arange(10, dtype=np.float32)[:, None]
    codebook = training._lloyd(z, np.ones(len(z)), far)
    assert len(codebook) == 10
    assert mean_error(z, codebook) < 0.01 * mean_error(z, z.mean(0, keepdims=True))


def test_entries_that_nothing_needs_are_dropped():
    z = np.array([[0.0], [1.0]], np.float32)
    np.testing.assert_array_equal(training._lloyd(z, np.ones(2), np.array([[0.0], [1.0], [5.0]], np.float32)), z)


def test_a_far_vector_of_no_importance_gets_no_entry():
    z = gaussian(200, 2)
    z[3] = 1e4
    weights = np.ones(200)
    assert train(z, 8, weights=weights).max() == 1e4
    weights[3] = 1e-12
    assert train(z, 8, weights=weights).max() < 10


def test_a_weight_counts_as_so_many_vectors():
    """An entry is the weighted mean of its vectors; three times the weight is three times the vector."""
    z = np.array([[0.0], [1.0], [10.0], [14.0]], np.float32)
    weights = np.array([1, 3, 1, 3])
    expected = [[0.75], [13.0]]
    np.testing.assert_allclose(np.sort(train(z, 2, weights=weights), axis=0), expected, rtol=1e-6)
    np.testing.assert_allclose(np.sort(train(np.repeat(z, weights, axis=0), 2), axis=0), expected, rtol=1e-6)


def test_vectors_without_weight_do_not_count_at_all():
    z = gaussian(500, 2)
    z[::2] += 1000
    weights = np.tile([0.0, 1e300], 250)  # and the size of weights does not matter
    assert train(z, 20, weights=weights).max() < 10
    assert len(train(z, 400, weights=weights)) == 250


def test_weights_move_the_error_to_where_it_is_cheap():
    z = gaussian(4000, 2)
    heavy = np.where(z[:, 0] > 1, 50.0, 1.0)
    right = z[:, 0] > 1
    plain, weighted = train(z, 64), train(z, 64, weights=heavy)
    assert mean_error(z[right], weighted) < 0.6 * mean_error(z[right], plain)
    assert mean_error(z[~right], weighted) > mean_error(z[~right], plain)


# Quantizers


def quantizers() -> list:
    z = gaussian(800, 6)
    return [
        VectorQuantizer.fit(z, 40),
        ResidualQuantizer.fit(z, [16, 8, 4]),
        ProductQuantizer.fit(z, [1, 3, 2], [4, 16, 8]),
        FiniteScalar((5, 4, 3, 2, 8, 7)),
    ]


every_quantizer = pytest.mark.parametrize("quantizer", quantizers(), ids=lambda q: q.name)


@every_quantizer
@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 6), (0, 6), (3, 0, 6)])
def test_vectors_lie_along_the_last_axis(quantizer, shape):
    z = gaussian(math.prod(shape), 1).reshape(shape)
    before = z.copy()
    symbols = quantizer.quantize(z)
    tail = {"residual": (3,), "product": (3,)}.get(quantizer.name, ())
    assert symbols.dtype == np.int32
    assert symbols.shape == (*shape[:-1], *tail)
    back = quantizer.dequantize(symbols.astype(np.int64))
    assert (back.dtype, back.shape) == (np.float32, shape)
    np.testing.assert_array_equal(z, before)
    assert not quantizer.dequantize(symbols, upto=0).any()


@every_quantizer
def test_big_endian_strided_and_read_only_vectors_are_the_same_vectors(quantizer):
    z = gaussian(50, 6)
    expected = quantizer.quantize(z)
    frozen = z.copy()
    frozen.flags.writeable = False
    for other in (z.astype(">f8"), np.repeat(z, 2, axis=0)[::2], np.asfortranarray(z), frozen):
        np.testing.assert_array_equal(quantizer.quantize(other), expected)


@every_quantizer
def test_what_was_restored_is_restored_again(quantizer):
    """Entries are their own nearest. FiniteScalar bounds first, and stages are greedy: they promise no such thing."""
    z = quantizer.dequantize(quantizer.quantize(gaussian(300, 6)))
    again = quantizer.dequantize(quantizer.quantize(z))
    if quantizer.name in ("vector", "product"):
        np.testing.assert_array_equal(again, z)
    elif quantizer.name == "residual":
        assert np.square(again - z).mean() < 0.1 * np.square(z).mean()
    else:
        assert np.abs(again).max() <= 1


@every_quantizer
def test_foreign_symbols_are_refused(quantizer):
    symbols = quantizer.quantize(gaussian(4, 6))
    with pytest.raises(UsageError, match="is not in \\[0, "):
        quantizer.dequantize(np.full_like(symbols, 10**6))
    with pytest.raises(UsageError, match="index -1 at"):
        quantizer.dequantize(np.full_like(symbols, -1))
    with pytest.raises(UsageError, match="integer array of symbols, got float64"):
        quantizer.dequantize(symbols.astype(np.float64))
    with pytest.raises(UsageError, match="upto=99"):
        quantizer.dequantize(symbols, upto=99)


@every_quantizer
@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros((3, 5), np.float32), r"vectors of 6 dimensions along the last axis, got shape \[3, 5\]"),
        (np.array(1.0), r"got shape \[\]"),
        (np.full((3, 6), np.nan), r"finite latents only; sample \(0, 0\) is nan"),
        (np.full((3, 6), 1e16), "samples up to 1e\\+15, got 1e\\+16: scale the vectors"),
        (np.zeros((3, 6), complex), "float or integer latents, got complex128"),
        ([[0.0] * 6], "NumPy array, got list"),
    ],
)
def test_bad_vectors_get_one_clear_error(quantizer, z, message):
    with pytest.raises(UsageError, match=message):
        quantizer.quantize(z)


def test_every_stage_lowers_the_error_and_later_ones_do_not_matter_to_a_prefix():
    z = gaussian(2000, 3)
    quantizer = ResidualQuantizer.fit(z, [32, 32, 32])
    symbols = quantizer.quantize(z)
    errors = [np.square(z - quantizer.dequantize(symbols, upto=k)).sum(1).mean() for k in range(4)]
    assert errors[0] == pytest.approx(np.square(z).sum(1).mean())
    for before, after in itertools.pairwise(errors):
        assert after < 0.3 * before
    prefix = symbols.copy()
    prefix[:, 1:] = 10**6
    np.testing.assert_array_equal(quantizer.dequantize(prefix, upto=1), quantizer.dequantize(symbols, upto=1))
    np.testing.assert_array_equal(symbols[:, 0], quantizer.stages[0].quantize(z))


def test_a_product_is_its_groups_side_by_side():
    z = gaussian(500, 5)
    quantizer = ProductQuantizer.fit(z, [2, 3], [8, 16])
    left, right = quantizer.groups
    expected = np.stack([left.quantize(z[:, :2]), right.quantize(z[:, 2:])], axis=1)
    np.testing.assert_array_equal(quantizer.quantize(z), expected)
    back = quantizer.dequantize(expected)
    np.testing.assert_array_equal(back[:, :2], left.codebook[expected[:, 0]])
    np.testing.assert_array_equal(back[:, 2:], right.codebook[expected[:, 1]])


def test_finite_scalar_indices_are_all_digits_in_mixed_radix():
    quantizer = FiniteScalar((8, 5, 5, 5))
    assert quantizer.entries == 1000
    indices = np.arange(1000)
    digits = quantizer.digits_of(indices)
    np.testing.assert_array_equal(
        digits[:9, :2], [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0], [6, 0], [7, 0], [0, 1]]
    )
    np.testing.assert_array_equal(quantizer.index_of(digits), indices)
    levels = quantizer.dequantize(indices)
    assert len(np.unique(levels, axis=0)) == 1000
    np.testing.assert_array_equal(np.unique(levels[:, 0]), np.arange(-4, 4) / 4)
    np.testing.assert_array_equal(np.unique(levels[:, 1]), np.arange(-2, 3) / 2)


@pytest.mark.parametrize("count", [2, 3, 4, 16, 511, 512])
def test_every_level_of_a_finite_scalar_is_reached_and_none_beyond(count):
    quantizer = FiniteScalar((count,))
    digits = quantizer.quantize(np.linspace(-12, 12, 400_001)[:, None])
    assert (np.diff(digits) >= 0).all()
    np.testing.assert_array_equal(np.unique(digits), np.arange(count))
    np.testing.assert_array_equal(quantizer.quantize(np.array([[-1e-4], [0], [1e-4]])), count // 2)
    np.testing.assert_array_equal(quantizer.quantize(np.array([[-1e15], [1e15]])), [0, count - 1])


def test_usage_meets_its_closed_forms():
    assert usage(np.arange(8), 8) == (1.0, pytest.approx(8.0))
    assert usage(np.zeros(100, np.int32), 4) == (0.25, 1.0)
    share, perplexity = usage(np.array([[0, 0], [1, 2]]), 4)
    assert share == 0.75
    assert perplexity == pytest.approx(2**1.5)


def test_a_moving_codebook_follows_the_published_rule():
    """N = decay N + (1 - decay) n, m = decay m + (1 - decay) sum, entry = m / N, from one vector for each entry."""
    codebook = np.array([[0.0, 0.0], [10.0, 10.0]], np.float32)
    moving = MovingCodebook.start(codebook, decay=0.9, revive_below=0)
    count, total = np.ones(2), codebook.astype(np.float64)
    for turn in range(20):
        batch = np.array([[turn, 1.0]] * 3 + [[11.0, 12.0 + turn]], np.float32) / 2 + np.array([[0, 0]] * 3 + [[5, 5]])
        batch = batch.astype(np.float32)
        moving = moving.update(batch)
        split = np.array([0, 0, 0, 1])
        # Loads are shares: the vectors of a batch of 4 count 2/4 each, beside 2 entries with one vector each.
        count = 0.9 * count + 0.1 * np.bincount(split) / 2
        total = 0.9 * total + 0.1 * np.stack([batch[split == k].sum(0, dtype=np.float64) / 2 for k in range(2)])
        np.testing.assert_allclose(moving.codebook, total / count[:, None], rtol=1e-5)
    np.testing.assert_allclose(moving.load, count / 2)


def test_a_moving_codebook_follows_a_drift_and_revives_the_dead():
    centres = gaussian(16, 2) * 10
    moving = MovingCodebook.start(gaussian(16, 2) * 1e-3 + np.float32(500), decay=0.8, revive_below=0.1)
    for turn in range(60):
        z = clusters(centres + 0.05 * turn, 20, 0.05, seed=turn)
        moving = moving.update(z)
    quantizer = VectorQuantizer(moving.codebook)
    assert usage(quantizer.quantize(z), 16)[0] == 1
    assert mean_error(z, moving.codebook) < 2
    frozen = MovingCodebook.start(gaussian(16, 2) * 1e-3 + np.float32(500), decay=0.8, revive_below=0)
    for turn in range(60):
        frozen = frozen.update(clusters(centres + 0.05 * turn, 20, 0.05, seed=turn))
    assert mean_error(z, frozen.codebook) > 10 * mean_error(z, moving.codebook)


GOOD = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: train(np.zeros((0, 3), np.float32), 4), r"n at least 1, got shape \[0, 3\]"),
        (lambda: train(np.zeros(3, np.float32), 4), r"n at least 1, got shape \[3\]"),
        (lambda: train(np.zeros((3, 0), np.float32), 4), "1 to 4096 dimensions"),
        (lambda: train(GOOD, 0), r"entries=0; it takes a whole number in \[1, 65536\]"),
        (lambda: train(GOOD, 2.5), r"entries=2.5"),
        (lambda: train(GOOD, 2, seed=-1), r"seed=-1"),
        (lambda: train(GOOD * np.nan, 2), "finite latents only"),
        (lambda: train(GOOD, 2, weights=np.ones(3)), r"one real weight for each of 2 vectors, got float64 \[3\]"),
        (lambda: train(GOOD, 2, weights=[1, 2]), "got list"),
        (lambda: train(GOOD, 2, weights=np.array([1, -1])), r"got \[-1.0, 1.0\]"),
        (lambda: train(GOOD, 2, weights=np.zeros(2)), "not all of them 0"),
        (lambda: train(GOOD, 2, weights=np.array([1, np.nan])), "finite weights"),
        (lambda: VectorQuantizer(GOOD.astype(np.float64)), r"float32, got float64; convert it with astype"),
        (lambda: VectorQuantizer([[1.0]]), "float32, got list"),
        (lambda: VectorQuantizer(GOOD[:0]), r"got shape \[0, 3\]"),
        (lambda: VectorQuantizer(GOOD[0]), r"got shape \[3\]"),
        (lambda: VectorQuantizer(GOOD + np.float32(np.inf)), "entry 0 has inf in column 0"),
        (lambda: ResidualQuantizer(()), "takes 1 to 64 stages"),
        (lambda: ResidualQuantizer((GOOD,)), "a tuple of VectorQuantizer"),
        (lambda: ResidualQuantizer((VectorQuantizer(GOOD), VectorQuantizer(GOOD[:, :2]))), r"got \[3, 2\]"),
        (lambda: ResidualQuantizer.fit(GOOD, []), "takes 1 to 64 stages"),
        (lambda: ProductQuantizer.fit(GOOD, [1, 1], [2, 2]), "sum to the 3 dimensions"),
        (lambda: ProductQuantizer.fit(GOOD, [1, 2], [2]), "as many numbers of entries"),
        (lambda: ProductQuantizer.fit(GOOD, [4, -1], [2, 2]), "columns of a group=-1"),
        (lambda: ResidualQuantizer.fit(GOOD, [2]).dequantize(np.zeros((3, 2), np.int32)), "takes 1 indices along"),
        (lambda: FiniteScalar(()), "a number for each dimension"),
        (lambda: FiniteScalar((1,)), r"levels of a dimension=1; it takes a whole number in \[2, 512\]"),
        (lambda: FiniteScalar((512,) * 4), "2\\*\\*31 are the most"),
        (lambda: FiniteScalar((3, 4)).index_of(np.array([3, 0])), "digits from 0 to below"),
        (lambda: FiniteScalar((3, 4)).index_of(np.array([3])), "takes 2 digits"),
        (lambda: usage(np.zeros(0, np.int32), 4), "number of indices=0"),
        (lambda: usage(np.array([0, 4]), 4), r"index 4 at \(1,\) is not in \[0, 4\)"),
        (lambda: MovingCodebook.start(GOOD, decay=1.5), "decay=1.5"),
        (lambda: MovingCodebook(GOOD, np.ones(3)), "a load for each of 2 entries"),
        (lambda: MovingCodebook.start(GOOD).update(GOOD[:0]), "n at least 1"),
    ],
)
def test_bad_arguments_get_one_clear_error(call, message):
    with pytest.raises(UsageError, match=message):
        call()
