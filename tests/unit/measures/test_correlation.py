"""Correlation, worked by hand."""

import math

import numpy as np
import pytest

from workers.measures.correlation import correlate, fisher_interval, pearson


def test_pearson_worked_by_hand():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    assert pearson(x, y) == pytest.approx(0.5)
    assert pearson(x, -2 * x + 1) == pytest.approx(-1)
    assert math.isnan(pearson(x, np.ones(3)))


def test_fishers_interval_of_the_papers_r():
    # r = 0.80 of 32 pairs: z = 1.0986 +- 1.96 / sqrt(29).
    assert fisher_interval(0.8, 32) == pytest.approx((0.6259, 0.8981), abs=3e-4)
    assert fisher_interval(0.8, 3) == (-1.0, 1.0)


def test_both_intervals_hold_r():
    generator = np.random.default_rng(5)
    x = generator.normal(size=40)
    found = correlate(x, x + generator.normal(size=40), seed=1, repeats=200)
    assert found.low < found.r < found.high
    assert found.bootstrap_low < found.r < found.bootstrap_high
    assert found == correlate(x, x + np.random.default_rng(5).normal(size=80)[40:], seed=1, repeats=200)
    with pytest.raises(ValueError, match="three pairs"):
        correlate(x[:2], x[:2], 1)
