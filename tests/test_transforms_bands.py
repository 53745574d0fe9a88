"""What wavelets, packets, blocks and colours promise about their bands, norms, gains and partial inverses."""

import numpy as np
import pytest

from midtread.errors import UsageError
from midtread.kernels import twins
from midtread.transforms.colour import Klt, Planes, Rct, YCbCr, YCoCgR
from midtread.transforms.dct import Dct, IntegerDct, dct_matrix
from midtread.transforms.packet import Packet53, Packet97, best_tree, log_cost
from midtread.transforms.wavelet import Wavelet53, Wavelet97, depth, reduced, synthesis_norm
from midtread.transforms.window import window

WAVELETS = [Wavelet53, Wavelet97]
SHAPES = [(1, 1), (1, 7), (9, 1), (2, 2), (3, 5), (16, 16), (33, 47), (40, 21)]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    monkeypatch.setattr(twins, "WORTH_COMPILING", 0)


def photograph(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """uint8 waves, an edge and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    picture = 120 + 60 * np.sin(x / 7) + 40 * np.cos(y / 5) + 30 * (x > y) + rng.normal(0, 4, shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def ar1(n: int, rho: float = 0.95) -> np.ndarray:
    """Covariance of n samples of a first-order Markov source of variance 1."""
    return rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "transform",
    [Wavelet53(3), Wavelet97(5), Wavelet53(32), Wavelet97(0), Packet53(2), Packet97(3, ("", "HL", "HL/HH")), Dct(4)],
    ids=repr,
)
def test_bands_cover_every_latent_once(transform, shape):
    covered = np.zeros((2, *shape), int)
    bands = transform.bands((2, *shape))
    for band in bands:
        assert band.of(covered).size > 0
        covered[band.index] += 1
    assert (covered == 1).all()
    assert len({band.name for band in bands}) == len(bands)


@pytest.mark.parametrize(
    "transform",
    [Wavelet53(3), Wavelet97(3), Packet53(2), Packet97(2), Dct(8), IntegerDct(5)],
    ids=repr,
)
def test_a_unit_in_a_band_adds_what_its_norm_says(transform):
    """Measured in the middle of a picture, far from its borders."""
    height = 1.0 if not transform.exact else 2.0**14  # integers: so large that rounding is small
    for band in transform.bands((128, 128)):
        latents = np.zeros((128, 128), np.float32 if not transform.exact else np.int32)
        rows, columns = band.of(latents).shape
        band.of(latents)[rows // 2, columns // 2] = height
        added = transform.inverse(latents).astype(np.float64) / height
        assert np.sqrt((added**2).sum()) == pytest.approx(band.norm, rel=1e-3)


def test_noise_in_the_latents_of_wavelet97_is_as_strong_in_the_picture():
    noise = np.random.default_rng(0).normal(0, 1, (256, 256)).astype(np.float32)
    assert np.square(Wavelet97(5).inverse(noise)).mean() == pytest.approx(1, abs=0.05)


def test_norms_of_deep_levels_follow_the_ratio_that_shallow_ones_reach():
    for wavelet, ratio in (("53", np.sqrt(2)), ("97", np.sqrt(2) / 1.230174)):
        for last in "LH":
            deep, deeper = (synthesis_norm(wavelet, "L" * lows + last) for lows in (20, 21))
            assert deeper / deep == pytest.approx(ratio, rel=1e-4)
    with pytest.raises(UsageError, match="deeper than 12 levels"):
        synthesis_norm("53", "H" * 13)


def test_an_axis_counts_in_the_norm_as_often_as_it_is_split():
    low, high = synthesis_norm("53", "L"), synthesis_norm("53", "H")
    assert low == pytest.approx(np.sqrt(1.5))
    assert high == pytest.approx(np.sqrt(0.71875))
    norms = {band.name: band.norm for band in Wavelet53(4).bands((2, 3))}
    assert set(norms) == {"LL2", "HL2", "HL1", "LH1", "HH1"}
    assert norms["HH1"] == pytest.approx(high * high)
    assert norms["LH1"] == pytest.approx(high * low)
    assert norms["HL2"] == pytest.approx(low * synthesis_norm("53", "LH"))  # the rows were one already
    assert norms["LL2"] == pytest.approx(low * synthesis_norm("53", "LL"))
    assert [band.norm for band in Wavelet53(4).bands((1, 1))] == [1.0]


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_picture_has_no_details_and_keeps_its_brightness_at_every_size(wavelet, shape):
    x = np.full((2, *shape), 100, np.int16)
    transform = wavelet(4)
    latents = transform.forward(x)
    for band in transform.bands(x.shape):
        if band.kind != "LL":
            assert np.abs(band.of(latents)).max() < 1e-3
    for drop in range(5):
        small = transform.inverse(latents, drop)
        assert small.shape == (2, *reduced(shape, drop))
        np.testing.assert_allclose(small, 100, rtol=1e-4)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_dropped_levels_leave_every_second_sample_of_a_smooth_picture(wavelet):
    y, x = np.mgrid[:161, :183]
    picture = np.rint(2000 + 900 * np.sin(x / 40) + 700 * np.cos(y / 30)).astype(np.int16)
    transform = wavelet(3)
    latents = transform.forward(picture)
    for drop in range(1, 4):
        small = transform.inverse(latents, drop)
        difference = (small - picture[:: 1 << drop, :: 1 << drop])[4:-4, 4:-4]
        assert np.sqrt(np.square(difference.astype(float)).mean()) < 40 * (4 ** (drop - 3))
        needed = np.zeros_like(latents)  # the finest levels are not looked at
        rows, columns = reduced(picture.shape, drop)
        needed[:rows, :columns] = latents[:rows, :columns]
        np.testing.assert_array_equal(transform.inverse(needed, drop), small)
    with pytest.raises(UsageError, match=r"drop=4; it takes a whole number in \[0, 3\]"):
        transform.inverse(latents, 4)


def test_more_levels_than_a_picture_has_change_nothing():
    x = photograph((13, 20))
    for wavelet in WAVELETS:
        np.testing.assert_array_equal(wavelet(5).forward(x), wavelet(31).forward(x))
        assert depth(31, x.shape) == 5
        np.testing.assert_allclose(wavelet(0).forward(x), x)


def test_int16_latents_of_8_bit_pictures_do_not_wrap():
    """Checks, stripes and noise of full contrast: int16 and int32 must give the same latents up to |x| = 3900."""
    rng = np.random.default_rng(0)
    checks = (np.indices((64, 64)).sum(0) % 2 * 2 - 1) * 3900
    for x in (checks, checks[:1].repeat(64, 0), checks[:, :1].repeat(64, 1), rng.choice([-3900, 3900], (64, 64))):
        narrow, wide = Wavelet53(6).forward(x.astype(np.int16)), Wavelet53(6).forward(x.astype(np.int32))
        assert (narrow.dtype, wide.dtype) == (np.int16, np.int32)
        np.testing.assert_array_equal(narrow, wide)


@pytest.mark.parametrize(("wavelet", "degree"), [(Wavelet53, 1), (Wavelet97, 3)])
def test_polynomials_have_no_details_away_from_the_borders(wavelet, degree):
    """Vanishing moments: two of the 5/3, four of the 9/7."""
    t = np.arange(64)
    line = np.rint(20_000 * ((t - 30) / 34) ** degree).astype(np.int32)
    for x in (line[None, :], line[:, None]):
        latents = wavelet(1).forward(x).reshape(-1)
        assert np.abs(latents[:32]).max() > 10_000
        assert np.abs(latents[36:-4]).max() <= 1


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(150, 133), (1, 140), (131, 6), (32, 32)])
def test_a_window_gives_its_region_bit_for_bit(wavelet, levels, shape):
    rng = np.random.default_rng(levels)
    transform = wavelet(levels)
    latents = transform.forward(photograph(shape))
    saved = 0
    for drop in range(levels):
        full = transform.inverse(latents, drop)
        for _ in range(12):
            (top, bottom), (left, right) = (sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in shape)
            part = window(transform, shape, (top, bottom), (left, right), drop)
            saved += part.shape[0] * part.shape[1] < shape[0] * shape[1]
            got = transform.inverse(part.gather(latents), drop)[part.crop]
            up = [-(-side >> drop) for side in (top, bottom, left, right)]
            np.testing.assert_array_equal(got, full[up[0] : up[1], up[2] : up[3]])
    assert saved or min(shape) <= 32
    with pytest.raises(UsageError, match=f"rows 3 .. 3 are not a region of a picture of {shape[0]} rows"):
        window(transform, shape, (3, 3), (0, 1))


@pytest.mark.parametrize(("packet", "wavelet"), [(Packet53, Wavelet53), (Packet97, Wavelet97)])
def test_a_packet_that_splits_only_ll_is_the_wavelet(packet, wavelet):
    for shape in SHAPES:
        x = photograph((2, *shape))
        narrow = packet(3, ("", "LL", "LL/LL"))
        np.testing.assert_allclose(narrow.forward(x), wavelet(3).forward(x), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(narrow.inverse(narrow.forward(x)), x, atol=1e-3)


def test_the_best_tree_costs_no_more_than_the_wavelet_or_the_full_packet():
    t = np.arange(96)
    tones = (100 * np.sin(1.9 * t) + 60 * np.cos(1.4 * t)[:, None]).astype(np.float32)
    for x in (tones, photograph((50, 37)).astype(np.float32), photograph((1, 30)).astype(np.float32)):
        best = log_cost(best_tree(x, Packet97, 3).forward(x))
        assert best <= log_cost(Packet97(3).forward(x)) + 1e-3
        assert best <= log_cost(Packet97(3, ("", "LL", "LL/LL")).forward(x)) + 1e-3
    assert "HL" in best_tree(tones, Packet97, 2).splits


def test_trees_that_are_none_are_refused():
    with pytest.raises(UsageError, match="splits has 'HL' but not its parent ''"):
        Packet53(2, ("HL",))
    with pytest.raises(UsageError, match="splits has 'XX'; nodes are like 'HL/LL'"):
        Packet53(2, ("", "XX"))
    with pytest.raises(UsageError, match="of at most 0 parts"):
        Packet97(1, ("", "LL"))
    with pytest.raises(UsageError, match="levels=7"):
        best_tree(np.zeros((4, 4), np.float32), Packet97, 7)


@pytest.mark.parametrize(("n", "gain_db"), [(8, 8.826), (16, 9.456), (32, 9.774)])
def test_dct_has_the_coding_gain_of_theory_on_a_markov_source(n, gain_db):
    """A picture that is the covariance matrix R becomes C R C^T: the variances are on its diagonal."""
    variances = np.diag(Dct(n).forward(ar1(n))).astype(np.float64)
    assert 10 * np.log10(variances.mean() / np.exp(np.log(variances).mean())) == pytest.approx(gain_db, abs=1e-3)


def test_dct_of_every_size_is_orthonormal_and_is_the_cosine_sum():
    for n in range(2, 65):
        x = np.random.default_rng(n).normal(0, 1, (n + 3, 2 * n + 1)).astype(np.float32)
        latents = Dct(n).forward(x)
        assert np.square(latents).sum() == pytest.approx(np.square(x).sum(), rel=1e-5)
        block = dct_matrix(n) @ x[:n, n : 2 * n] @ dct_matrix(n).T
        np.testing.assert_allclose(latents[:n, n : 2 * n], block, atol=1e-5)
        corner = dct_matrix(3) @ x[n:, -1:] if n > 3 else None  # 3 rows and 1 column are left over
        if corner is not None:
            np.testing.assert_allclose(latents[n:, -1:], corner, atol=1e-5)
        k = n - 1
        expected = np.sqrt(2 / n) * sum(np.cos(np.pi * k * (2 * j + 1) / (2 * n)) for j in range(n))
        assert dct_matrix(n)[k].sum() == pytest.approx(expected, abs=1e-9)


def test_integer_dct_is_exact_and_near_the_float_one_at_every_size():
    for n in range(2, 65):
        x = np.random.default_rng(n).integers(-(2**15), 2**15, (2 * n + 1, n + 5)).astype(np.int32)
        latents = IntegerDct(n).forward(x)
        np.testing.assert_array_equal(IntegerDct(n).inverse(latents), x)
        error = latents - Dct(n).forward(x)
        assert np.sqrt(np.square(error).mean()) < 0.6 + 0.5 * np.sqrt(n if n % 2 else n / 2)


def test_reversible_colours_need_one_bit_more_for_chroma_and_none_for_luma():
    cube = np.array(np.meshgrid(*[np.r_[0:256:15, 255]] * 3)).reshape(3, 1, -1).transpose(1, 2, 0).astype(np.uint8)
    for transform in (YCoCgR(), Rct()):
        planes = transform.forward(cube)
        assert planes.dtype == np.int16
        assert (planes[0].min(), planes[0].max()) == (0, 255)
        assert np.abs(planes[1:]).max() == 255
        np.testing.assert_array_equal(transform.inverse(planes, np.uint8), cube)
        assert not transform.forward(np.full((1, 1, 3), 99, np.uint8))[1:].any()


def test_ycbcr_has_the_values_of_its_standards():
    red, white = np.array([[[255, 0, 0]]], np.uint8), np.array([[[255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(YCbCr("bt601").forward(red).ravel(), [76.245, -43.0276, 127.5], atol=1e-3)
    np.testing.assert_allclose(YCbCr("bt709").forward(red).ravel(), [54.213, -29.2155, 127.5], atol=1e-3)
    for standard in ("bt601", "bt709"):
        np.testing.assert_allclose(YCbCr(standard).forward(white).ravel(), [255, 0, 0], atol=1e-4)
        matrix, inverse = YCbCr(standard).matrices()
        np.testing.assert_allclose(matrix @ inverse, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("transform", [YCbCr(), YCbCr("bt709"), Klt()], ids=repr)
def test_float_colours_come_back_to_the_same_integers(transform, dtype):
    x = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (31, 17, 4), dtype=dtype, endpoint=True)
    np.testing.assert_array_equal(transform.inverse(transform.forward(x), dtype), x)


def test_pixels_are_clipped_to_the_dtype_that_is_asked_for():
    for transform in (YCoCgR(), Rct(), YCbCr()):
        planes = np.zeros((4, 1, 2), np.int16)
        planes[0], planes[3] = [300, -9], [256, -1]
        for dtype, high in (("uint8", 255), ("uint16", 300)):
            np.testing.assert_array_equal(transform.inverse(planes, dtype)[0, :, :3], [[high] * 3, [0] * 3])
        np.testing.assert_array_equal(transform.inverse(planes, "uint8")[0, :, 3], [255, 0])
        with pytest.raises(UsageError, match="gives integer pixels of at most 16 bits, not int64"):
            transform.inverse(planes, np.int64)


@pytest.mark.parametrize("transform", [YCoCgR(), Rct(), YCbCr(), YCbCr("bt709"), Klt()], ids=repr)
def test_a_unit_in_a_colour_plane_adds_what_its_norm_says(transform):
    for c, band in enumerate(transform.bands((1, 1, 4))):
        planes = np.zeros((4, 1, 1), np.int32)
        planes[c] = 2**14
        assert np.linalg.norm(transform.inverse(planes).astype(float)) == pytest.approx(band.norm * 2**14, rel=1e-3)


def test_klt_decorrelates_and_puts_the_variance_first():
    rng = np.random.default_rng(0)
    gray = rng.normal(0, 40, (50, 60, 1)) * [1, 0.9, 0.7]
    x = np.clip(128 + gray + rng.normal(0, 5, (50, 60, 3)) * [1, 0.5, 2], 0, 255).astype(np.uint8)
    planes = Klt.fit(x).forward(x).reshape(3, -1)
    covariance = np.cov(planes)
    assert covariance[0, 0] > covariance[1, 1] > covariance[2, 2]
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 0.01 * covariance[0, 0]
    with pytest.raises(UsageError, match="three orthonormal rows"):
        Klt((1, 0, 0, 0, 1, 0, 0, 0, 2))


def test_colours_refuse_what_has_no_colours():
    for shape in ((5, 6), (5, 6, 2), (5, 6, 5), (1, 5, 6, 3)):
        for transform in (YCoCgR(), YCbCr()):
            with pytest.raises(UsageError, match=r"takes arrays \[H, W, C\] of 3 or 4 channels, got"):
                transform.forward(np.zeros(shape, np.uint8))
    with pytest.raises(UsageError, match=r"takes arrays \[C, H, W\] of 3 or 4 channels, got \[5, 6, 3\]"):
        YCoCgR().inverse(np.zeros((5, 6, 3), np.int16))
    gray = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.testing.assert_array_equal(Planes().forward(gray), gray)
    assert Planes().forward(np.zeros((3, 4, 7), np.float32)).shape == (7, 3, 4)
