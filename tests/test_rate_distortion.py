"""BD-rate and its relatives: closed forms, the package `bjontegaard`, and curves that cannot be compared."""

from __future__ import annotations

import math

import numpy as np
import pytest

from midtread.errors import UsageError
from midtread.metrics.rate_distortion import bd_quality, bd_rate, pareto_front, ratio_at_equal_quality

RATE = np.array([0.1, 0.18, 0.31, 0.52, 0.9, 1.4, 2.2])  # bits per pixel
QUALITY = 30 + 6 * np.log2(RATE / 0.1) - 0.3 * np.log2(RATE / 0.1) ** 2  # dB, rising and bent

both_methods = pytest.mark.parametrize("method", ["pchip", "akima"])


@both_methods
def test_a_curve_at_four_fifths_of_the_rate_is_exactly_minus_twenty_percent(method):
    result = bd_rate(RATE, QUALITY, 0.8 * RATE, QUALITY, method=method)
    assert result.percent == pytest.approx(-20, abs=1e-9)
    assert (result.overlap_low, result.overlap_high) == (QUALITY[0], QUALITY[-1])
    assert result.overlap_fraction == 1
    assert result.points == (7, 7)
    assert result.dropped == (0, 0)


@both_methods
def test_a_curve_with_one_decibel_more_is_exactly_one_decibel(method):
    result = bd_quality(RATE, QUALITY, RATE, QUALITY + 1, method=method)
    assert result.difference == pytest.approx(1, abs=1e-12)
    assert (result.overlap_low, result.overlap_high) == (pytest.approx(0.1), pytest.approx(2.2))


@both_methods
def test_straight_curves_have_a_bd_rate_one_can_integrate_by_hand(method):
    """log rate = q for a and 2 q - 3 for b, common q in [3, 6]: mean difference = 4.5 - 3."""
    q_a, q_b = np.linspace(1, 6, 6), np.linspace(3, 9, 7)
    result = bd_rate(np.exp(q_a), q_a, np.exp(2 * q_b - 3), q_b, method=method)
    assert result.percent == pytest.approx(100 * (math.exp(1.5) - 1), rel=1e-9)
    assert (result.overlap_low, result.overlap_high) == (3, 6)
    assert result.overlap_fraction == pytest.approx(3 / 8)
    assert result.points == (6, 7)


@both_methods
@pytest.mark.parametrize("seed", range(5))
def test_bd_rate_and_bd_quality_agree_with_the_package_bjontegaard(method, seed):
    import bjontegaard

    rng = np.random.default_rng(seed)
    rates = [np.sort(rng.uniform(0.05, 3, 8)) for _ in range(2)]
    qualities = [np.sort(rng.uniform(28, 44, 8)) for _ in range(2)]
    curves = (rates[0], qualities[0], rates[1], qualities[1])
    expected = bjontegaard.bd_rate(*curves, method=method, min_overlap=0)
    assert bd_rate(*curves, method=method).percent == pytest.approx(expected, rel=1e-9)
    expected = bjontegaard.bd_psnr(*curves, method=method, min_overlap=0)
    assert bd_quality(*curves, method=method).difference == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_order_of_the_points_does_not_matter():
    order = np.random.default_rng(0).permutation(len(RATE))
    expected = bd_rate(RATE, QUALITY, 1.3 * RATE, QUALITY + 0.5)
    assert bd_rate(RATE[order], QUALITY[order], 1.3 * RATE, QUALITY + 0.5) == expected


def test_swapped_curves_give_the_inverse_ratio():
    there = bd_rate(RATE, QUALITY, 1.3 * RATE, QUALITY + 0.5).percent
    back = bd_rate(1.3 * RATE, QUALITY + 0.5, RATE, QUALITY).percent
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_dominated_points_are_dropped_and_counted():
    rate = np.append(RATE, [0.6, 3.0, 0.31])  # worse than its neighbour, no better than the last, twice the same
    quality = np.append(QUALITY, [QUALITY[3] - 1, QUALITY[-1], QUALITY[2]])
    result = bd_rate(rate, quality, 0.8 * RATE, QUALITY)
    assert result.percent == pytest.approx(-20, abs=1e-9)
    assert result.dropped == (3, 0)
    assert result.points == (7, 7)


def test_metrics_where_less_is_better_are_turned_round():
    distance = 50 - QUALITY
    expected = bd_rate(RATE, QUALITY, 1.3 * RATE, QUALITY + 0.5)
    result = bd_rate(RATE, distance, 1.3 * RATE, distance - 0.5, better="lower")
    assert result.percent == pytest.approx(expected.percent)
    assert (result.overlap_low, result.overlap_high) == (50 - expected.overlap_high, 50 - expected.overlap_low)
    assert bd_quality(RATE, distance, RATE, distance - 0.5, better="lower").difference == pytest.approx(-0.5)
    ratio = ratio_at_equal_quality(RATE, distance, 1.3 * RATE, distance, [50 - 33.0], better="lower")
    assert ratio == pytest.approx([1.3])


def test_ratio_at_equal_quality_is_nan_where_a_curve_does_not_reach():
    wanted = np.array([[QUALITY[0] - 0.1, QUALITY[0]], [35.0, QUALITY[-1] + 0.1]])
    ratio = ratio_at_equal_quality(RATE, QUALITY, 0.8 * RATE, QUALITY, wanted)
    np.testing.assert_allclose(ratio, [[np.nan, 0.8], [0.8, np.nan]])


def test_curves_without_common_quality_or_rate_are_refused():
    with pytest.raises(UsageError, match="no quality in common: a spans 30"):
        bd_rate(RATE, QUALITY, RATE, QUALITY + 100)
    with pytest.raises(UsageError, match="no log rate in common"):
        bd_quality(RATE, QUALITY, 100 * RATE, QUALITY)


def test_too_few_points_are_refused_before_and_after_dropping():
    with pytest.raises(UsageError, match="curve b has 5 points, a comparison needs at least 6"):
        bd_rate(RATE, QUALITY, RATE[:5], QUALITY[:5])
    with pytest.raises(UsageError, match="curve a rises at 3 of its 6 points only"):
        bd_rate(RATE[:6], [30, 31, 29, 28, 32, 32], RATE, QUALITY)


@pytest.mark.parametrize(
    ("rate", "quality", "message"),
    [
        ([0.0, *RATE[1:]], QUALITY, r"rate 0 of curve a is 0\.0"),
        ([*RATE[:-1], np.inf], QUALITY, "rate 6 of curve a is inf"),
        (RATE, [*QUALITY[:-1], np.inf], r"quality 6 of curve a is inf.*leave lossless points out"),
        (RATE, [*QUALITY[:-1], np.nan], "curve a has a NaN at index 6"),
        (RATE, QUALITY[:-1], r"two lists of one length, got \[7\] and \[6\]"),
        (RATE[:, None], QUALITY[:, None], "two lists of one length"),
    ],
)
def test_points_that_mean_nothing_are_refused(rate, quality, message):
    with pytest.raises(UsageError, match=message):
        bd_rate(rate, quality, RATE, QUALITY)


def test_unknown_options_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="'pchip' or 'akima'"):
        bd_rate(RATE, QUALITY, RATE, QUALITY, method="cubic")
    with pytest.raises(UsageError, match="'higher' or 'lower'"):
        bd_rate(RATE, QUALITY, RATE, QUALITY, better="best")


def test_pareto_front_is_what_no_other_point_beats():
    rng = np.random.default_rng(0)
    cost, value = rng.integers(0, 12, 60), rng.integers(0, 12, 60)
    beaten = [
        any(
            (c <= cost[i] and v >= value[i] and (c, v) != (cost[i], value[i]))
            or (j < i and (c, v) == (cost[i], value[i]))
            for j, (c, v) in enumerate(zip(cost, value, strict=True))
        )
        for i in range(60)
    ]
    front = pareto_front(cost, value)
    assert sorted(front) == [i for i in range(60) if not beaten[i]]
    assert (np.diff(cost[front]) > 0).all()
    assert (np.diff(value[front]) > 0).all()


def test_pareto_front_of_nothing_one_and_infinite_points():
    assert pareto_front([], []).tolist() == []
    assert pareto_front([3], [-np.inf]).tolist() == [0]
    assert pareto_front([1, 2, 2], [-np.inf, np.inf, np.inf]).tolist() == [0, 1]
    with pytest.raises(UsageError, match="NaN at index 1"):
        pareto_front([1, np.nan], [1, 1])
