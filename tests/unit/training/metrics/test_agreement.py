"""Kappa and Spearman, worked by hand and against slow references."""

import numpy as np
import pytest

from training.metrics.agreement import kappa_value, pairwise, quadratic_kappa, spearman, spearman_value


def table_kappa(first, second, grades):
    """Cohen's own way: observed and expected tables with quadratic weights."""
    a, b = np.asarray(first), np.asarray(second)
    observed = np.array([[((a == i) & (b == j)).sum() for j in grades] for i in grades], float)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    weights = (np.array(grades)[:, None] - np.array(grades)) ** 2
    return 1 - (weights * observed).sum() / (weights * expected).sum()


def test_a_kappa_worked_by_hand():
    # Differences 0, 0, 0, 1: observed 1/4. All sixteen pairs of 1,1,2,3 and 1,1,2,2: squares 0,0,1,1 twice, 1,1,0,0,
    # 4,4,1,1: 16 in all, expected 1. Kappa 3/4.
    assert kappa_value([1, 1, 2, 3], [1, 1, 2, 2]) == pytest.approx(0.75)


def test_kappa_is_that_of_the_tables_for_any_number_of_grades():
    numbers = np.random.default_rng(1)
    for grades in ([1, 2, 3], [0, 1], [1, 2, 3, 4, 5]):
        first, second = numbers.choice(grades, (2, 50))
        assert kappa_value(first, second) == pytest.approx(table_kappa(first, second, grades))


def test_quadratic_weights_mind_how_far_grades_lie_apart():
    truth = [1, 2, 3, 1, 2, 3]
    assert kappa_value([2, 2, 3, 1, 2, 3], truth) > kappa_value([3, 2, 3, 1, 2, 3], truth)


def test_perfect_and_opposite():
    assert kappa_value([1, 2, 3], [1, 2, 3]) == 1
    assert kappa_value([1, 3, 1, 3], [3, 1, 3, 1]) == -1


def test_one_rater_constant_is_a_kappa_of_zero():
    assert kappa_value([2, 2, 2, 2], [1, 2, 3, 2]) == pytest.approx(0)


def test_all_of_one_grade_has_no_kappa_and_says_why():
    found = quadratic_kappa([2] * 5, [2] * 5)
    assert (found.value, found.low, found.high, found.n) == (None, None, None, 5)
    assert "same one grade" in found.reason


def test_all_of_another_grade_disagree_no_better_than_chance():
    assert quadratic_kappa([1] * 5, [3] * 5).value == 0


@pytest.mark.parametrize("measure", [quadratic_kappa, spearman])
def test_two_slides_are_too_few(measure):
    found = measure([1, 2], [1, 2])
    assert found.value is None
    assert "too few" in found.reason


def test_spearman_worked_by_hand():
    # Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 * 2 / (4 * 15).
    assert spearman_value([1, 5, 9, 30], [2, 7, 3, 100]) == pytest.approx(0.8)


def test_ties_share_the_mean_of_their_ranks():
    from scipy.stats import spearmanr

    first, second = [0, 0, 1, 3, 3, 7], [2, 0, 0, 5, 4, 4]
    assert spearman_value(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_a_side_that_does_not_vary_has_no_spearman():
    found = spearman([3, 3, 3, 3], [1, 2, 3, 4])
    assert found.value is None
    assert "vary" in found.reason


def test_intervals_hold_the_value_narrow_with_slides_and_follow_the_seed():
    numbers = np.random.default_rng(2)
    truth = numbers.integers(1, 4, 300)
    found = np.clip(truth + numbers.integers(-1, 2, 300), 1, 3)
    few, many = quadratic_kappa(found[:30], truth[:30], 7, 300), quadratic_kappa(found, truth, 7, 300)
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low
    assert many == quadratic_kappa(found, truth, 7, 300)
    assert many != quadratic_kappa(found, truth, 8, 300)


def test_where_most_drawn_sets_have_no_value_there_is_no_interval():
    # Each rater differs on one slide, another one: both must be drawn, which happens in about 0.63 * 0.63 of the sets.
    found = spearman([0] * 10 + [1, 0], [0] * 10 + [0, 1], 0, 500)
    assert found.value == pytest.approx(-1 / 11)
    assert (found.low, found.high) == (None, None)
    assert "no interval" in found.reason


def test_pairwise_is_the_mean_over_pairs():
    table = np.array([[1, 1, 2], [2, 2, 2], [3, 2, 3], [1, 1, 1]])
    pairs = [kappa_value(table[:, a], table[:, b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert pairwise(table, "kappa").value == pytest.approx(np.mean(pairs))


def test_pairwise_leaves_out_pairs_without_a_value():
    table = np.array([[1, 5, 1], [2, 5, 2], [3, 5, 4], [4, 5, 3]])
    assert pairwise(table, "spearman").value == pytest.approx(0.8)


@pytest.mark.parametrize(("first", "second"), [([1, 2, 3], [1, 2]), ([1, 2, np.nan], [1, 2, 3])])
def test_refused(first, second):
    with pytest.raises(ValueError, match="slide"):
        quadratic_kappa(first, second)


def test_one_reader_alone_is_refused():
    with pytest.raises(ValueError, match="two readers"):
        pairwise([[1], [2], [3]], "kappa")
