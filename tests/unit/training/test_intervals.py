"""Bootstrap intervals."""

import numpy as np
import pytest

from training.metrics.intervals import bootstrap


def mean(rows):
    return float(np.mean(rows))


def test_rows_that_agree_leave_no_doubt():
    estimate = bootstrap([0.5] * 7, mean, seed=1)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.5, 0.5, 0.5, 7)


def test_interval_of_a_mean_is_near_the_normal_one():
    rows = list(np.random.default_rng(3).normal(10, 2, 400))
    estimate = bootstrap(rows, mean, seed=1)
    half = 1.96 * np.std(rows) / np.sqrt(len(rows))
    assert estimate.low == pytest.approx(estimate.value - half, abs=0.03)
    assert estimate.high == pytest.approx(estimate.value + half, abs=0.03)


def test_the_seed_fixes_the_interval():
    rows = [0.1, 0.5, 0.9, 0.3]
    assert bootstrap(rows, mean, seed=5) == bootstrap(rows, mean, seed=5)
    assert bootstrap(rows, mean, seed=5) != bootstrap(rows, mean, seed=6)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        bootstrap([], mean, seed=1)
