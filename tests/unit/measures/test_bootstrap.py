"""Intervals from blocks drawn again: by hand, and how often they hold the truth where neighbours are alike."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from workers.measures.bootstrap import MIN_BLOCKS, effective_blocks, fraction_intervals


def test_blocks_count_by_their_weight():
    assert effective_blocks(np.array([7, 7, 7, 7])) == pytest.approx(4)
    # (100 + 4)^2 / (100^2 + 4)
    assert effective_blocks(np.array([100, 1, 1, 1, 1])) == pytest.approx(1.0812, abs=1e-4)
    assert effective_blocks(np.array([], dtype=np.int64)) == 0


def test_blocks_that_are_all_alike_leave_no_doubt():
    found = fraction_intervals(np.tile([10, 30, 200], (12, 1)), seed=1)
    for interval, value in ((found.d_pos, 0.05), (found.d_neg, 0.15), (found.r_pos, 0.25)):
        assert (interval.low, interval.high) == pytest.approx((value, value))
    assert found.reason is None


def test_half_full_and_half_empty_blocks_are_a_binomial():
    # 16 blocks of 1 px, 8 of them positive: the count of a draw is binomial(16, 1/2), of which 2.5 % lie below 4 and
    # 97.5 % below 12 (P(X <= 3) = 0.0106, P(X <= 4) = 0.0384).
    blocks = np.array([[1, 0, 1]] * 8 + [[0, 1, 1]] * 8)
    found = fraction_intervals(blocks, seed=0)
    assert (found.d_pos.low, found.d_pos.high) == (4 / 16, 12 / 16)
    assert (found.d_neg.low, found.d_neg.high) == (4 / 16, 12 / 16)
    assert (found.r_pos.low, found.r_pos.high) == (4 / 16, 12 / 16)


def test_the_ratio_is_of_sums_and_not_a_mean_of_ratios():
    # a large block with 10 % and a small one with 90 %, ten of each: 190 of 1100
    blocks = np.array([[10, 0, 100]] * 10 + [[9, 0, 10]] * 10)
    found = fraction_intervals(blocks, seed=0)
    assert found.d_pos.low < 190 / 1100 < found.d_pos.high < 0.5


def test_the_seed_alone_decides():
    blocks = np.random.default_rng(3).integers(1, 50, (20, 3)).cumsum(axis=1)
    assert fraction_intervals(blocks, 7) == fraction_intervals(blocks, 7) != fraction_intervals(blocks, 8)


def test_too_few_blocks_give_no_interval_and_say_so():
    slivers = np.array([[50, 50, 1000]] * (MIN_BLOCKS - 1) + [[0, 0, 1]] * 40)
    found = fraction_intervals(slivers, seed=0)
    assert (found.d_pos, found.d_neg, found.r_pos) == (None, None, None)
    assert "9.1 blocks; at least 10" in found.reason
    assert "0.0 blocks" in fraction_intervals(np.zeros((0, 3), dtype=np.int64), seed=0).reason


def test_blocks_without_tissue_are_none():
    blocks = np.array([[3, 5, 40], [2, 9, 40]] * 6)
    padded = np.concatenate((blocks, np.zeros((30, 3), dtype=np.int64)))
    assert fraction_intervals(padded, 5) == fraction_intervals(blocks, 5)


def test_where_nothing_is_positive_or_negative_there_is_no_ratio():
    found = fraction_intervals(np.tile([0, 0, 9], (20, 1)), seed=0)
    assert (found.d_pos.low, found.d_pos.high, found.r_pos) == (0, 0, None)
    assert "no ratio" in found.reason


def coverage(side: int, block: int, slides: int) -> float:
    """How often the interval of d_pos holds the truth (1/2) on fields that are alike within 4 px."""
    rng, held = np.random.default_rng(11), 0
    for seed in range(slides):
        field = uniform_filter(rng.standard_normal((side, side)), 4, mode="wrap") > 0
        blocks = field.reshape(side // block, block, side // block, block).sum(axis=(1, 3)).ravel()
        sums = np.stack((blocks, block**2 - blocks, np.full_like(blocks, block**2)), axis=1)
        interval = fraction_intervals(sums.astype(np.int64), seed, draws=200).d_pos
        held += interval.low <= 0.5 <= interval.high
    return held / slides


def test_blocks_hold_the_truth_where_single_pixels_do_not():
    # 150 slides: 95 % would be held within 0.91 to 0.98; percentile intervals of 36 blocks are a little short.
    assert 0.86 <= coverage(72, 12, 150) <= 0.99
    assert coverage(24, 1, 100) < 0.6
