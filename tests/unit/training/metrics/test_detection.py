"""Matching of points by hand and against trying every pairing; scores that do not exist are told so."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.detection import f1_curve, match_points, score_counts, score_points

NONE = np.zeros((0, 2))
place = st.tuples(st.integers(0, 6), st.integers(0, 6))


def test_each_point_is_matched_once():
    # two detections of one mitosis: the nearer one is its
    found, truth = np.array([[0.0, 3], [0, 1], [50, 50]]), np.array([[0.0, 0]])
    assert match_points(found, truth, 5).tolist() == [[1, 0]]
    assert score_points(found, truth, 5) == score_counts(1, 2, 0)


def test_the_most_pairs_are_made_even_where_the_nearest_would_block_one():
    # the nearest pair is (found 0, truth 1), which would leave truth 0 and found 1 without any
    found, truth = np.array([[4.0, 0], [9, 0]]), np.array([[0.0, 0], [5, 0]])
    assert match_points(found, truth, 4).tolist() == [[0, 0], [1, 1]]


def test_of_as_many_pairs_the_nearest_are_made():
    found, truth = np.array([[0.0, 0], [3, 0]]), np.array([[2.0, 0], [1.0, 0]])
    assert match_points(found, truth, 9).tolist() == [[0, 1], [1, 0]]


def test_the_radius_itself_still_counts_and_nothing_beyond():
    found = np.array([[3.0, 4.0]])
    assert len(match_points(found, np.array([[0.0, 0]]), 5)) == 1
    assert len(match_points(found, np.array([[0.0, 0]]), 4.999)) == 0
    assert match_points(found, found, 0).tolist() == [[0, 0]]


@pytest.mark.parametrize("radius", [-1.0, math.nan])
def test_a_radius_that_is_none_is_refused(radius):
    with pytest.raises(ValueError, match="radius"):
        match_points(NONE, NONE, radius)


def test_points_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        match_points(np.zeros((2, 3)), NONE, 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(place, max_size=5), st.lists(place, max_size=5), st.sampled_from([0.0, 1.0, 2.0, 3.0, 20.0]))
def test_pairs_are_as_many_and_as_near_as_any_pairing_has_them(found, truth, radius):
    pairs = match_points(np.array(found, float), np.array(truth, float), radius)
    distances = [math.dist(found[i], truth[j]) for i, j in pairs.tolist()]
    assert all(distance <= radius for distance in distances)
    assert len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist())) == len(pairs)
    best = best_pairing(found, truth, radius)
    assert (-len(pairs), sum(distances)) == (best[0], pytest.approx(best[1]))


def best_pairing(found, truth, radius):
    """(minus the most pairs, the least sum of distances), by trying all."""
    best = (0, 0.0)
    for size in range(1, min(len(found), len(truth)) + 1):
        for rows in combinations(found, size):
            for columns in permutations(truth, size):
                distances = [math.dist(a, b) for a, b in zip(rows, columns, strict=True)]
                if max(distances) <= radius:
                    best = min(best, (-size, sum(distances)))
    return best


def test_scores_by_hand():
    score = score_counts(3, 1, 2)
    assert (score.precision, score.recall, score.f1) == (3 / 4, 3 / 5, 6 / 9)


@pytest.mark.parametrize(
    ("counts", "precision", "recall", "f1"),
    [((0, 0, 0), None, None, None), ((0, 4, 0), 0, None, None), ((0, 0, 4), None, 0, 0), ((0, 3, 4), 0, 0, 0)],
)
def test_what_is_undefined_is_none(counts, precision, recall, f1):
    score = score_counts(*counts)
    assert (score.precision, score.recall, score.f1) == (precision, recall, f1)


def test_the_curve_sums_counts_over_images_before_it_takes_ratios():
    found = [np.array([[0.0, 0], [90, 90]]), np.array([[5.0, 5]]), NONE]
    confidence = [np.array([0.9, 0.4]), np.array([0.6]), np.zeros(0)]
    truth = [np.array([[0.0, 1]]), NONE, np.array([[7.0, 7]])]
    curve = f1_curve(found, confidence, truth, [0.4, 0.5, 0.6, 0.7, 0.95], radius=2)
    assert [(s.tp, s.fp, s.fn) for s in curve] == [(1, 2, 1), (1, 1, 1), (1, 1, 1), (1, 0, 1), (0, 0, 2)]
    assert [s.f1 for s in curve] == [2 / 5, 2 / 4, 2 / 4, 2 / 3, 0]


def test_the_curve_refuses_confidences_that_do_not_fit():
    with pytest.raises(ValueError, match="image 0 has 2 detections"):
        f1_curve([np.zeros((2, 2))], [np.zeros(3)], [NONE], [0.5], 1)
