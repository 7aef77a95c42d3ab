"""AJI and detection on maps small enough to count by hand, and against a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.metrics.instances import Matches, aji, common_areas, match

TRUTH = np.array(
    [
        [1, 1, 0, 2, 2, 0],
        [1, 1, 0, 2, 2, 0],
        [0, 0, 0, 0, 0, 0],
        [3, 3, 0, 0, 0, 0],
    ]
)
FOUND = np.array(
    [
        [7, 7, 0, 0, 9, 9],
        [7, 7, 0, 0, 9, 9],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 5, 5],
    ]
)
EMPTY = np.zeros((4, 6), int)


def test_common_areas_skip_background_and_keep_the_order_of_numbers():
    common, true_areas, found_areas = common_areas(TRUTH, FOUND)
    # columns are the found objects 5, 7, 9
    assert common.tolist() == [[0, 4, 0], [0, 0, 2], [0, 0, 0]]
    assert true_areas.tolist() == [4, 4, 2]
    assert found_areas.tolist() == [2, 4, 4]


def test_match_finds_one_of_three():
    # object 2 meets 9 in 2 of 6 px only; 3 was missed; 5 was invented
    assert match(TRUTH, FOUND) == Matches(1, 2, 2)


def test_match_needs_more_than_half():
    truth, found = np.array([[1, 1]]), np.array([[1, 0]])
    assert match(truth, found) == Matches(0, 1, 1)


def test_match_refuses_thresholds_that_leave_a_choice():
    with pytest.raises(ValueError, match=r"0\.3"):
        match(TRUTH, FOUND, 0.3)


def test_aji_by_hand():
    # common 4 + 2; unions 4 + 6; the missed 3 adds 2; the invented 5 adds 2
    assert aji(TRUTH, FOUND) == (4 + 2) / (4 + 6 + 2 + 2)


def test_aji_of_two_true_nuclei_merged_into_one_counts_the_merger_against_both():
    truth, found = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]])
    assert aji(truth, found) == (2 + 2) / (4 + 4)


@pytest.mark.parametrize(("truth", "found", "value"), [(EMPTY, EMPTY, 1.0), (EMPTY, FOUND, 0.0), (TRUTH, EMPTY, 0.0)])
def test_aji_of_nothing(truth, found, value):
    assert aji(truth, found) == value


def test_maps_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        aji(TRUTH, TRUTH[:2])


def test_precision_recall_and_f1():
    counts = Matches(6, 2, 4)
    assert (counts.precision, counts.recall) == (6 / 8, 6 / 10)
    assert counts.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert Matches(0, 0, 0).f1 == 1.0
    assert Matches(1, 2, 3) + Matches(10, 20, 30) == Matches(11, 22, 33)


maps = st.lists(st.integers(0, 4), min_size=20, max_size=20).map(lambda cells: np.array(cells).reshape(4, 5))


def slow_aji(truth, found):
    """Kumar's algorithm read out loud."""
    used, common, union = set(), 0, 0
    for i in sorted(set(truth[truth > 0])):
        best, best_ratio = None, 0.0
        for j in sorted(set(found[found > 0])):
            ratio = ((truth == i) & (found == j)).sum() / ((truth == i) | (found == j)).sum()
            if ratio > best_ratio:
                best, best_ratio = j, ratio
        if best is None:
            union += (truth == i).sum()
            continue
        used.add(best)
        common += ((truth == i) & (found == best)).sum()
        union += ((truth == i) | (found == best)).sum()
    union += sum((found == j).sum() for j in set(found[found > 0]) - used)
    return common / union if union else 1.0


@settings(max_examples=50)
@given(maps, maps)
def test_aji_equals_the_slow_reference(truth, found):
    assert aji(truth, found) == pytest.approx(slow_aji(truth, found))


@settings(max_examples=50)
@given(maps)
def test_a_map_agrees_with_itself_under_other_numbers(truth):
    renumbered = np.where(truth > 0, 50 - truth, 0)
    assert aji(truth, renumbered) == 1.0
    assert match(truth, renumbered).f1 == 1.0


@settings(max_examples=50)
@given(maps, maps)
def test_every_object_is_counted_once(truth, found):
    counts = match(truth, found)
    assert counts.true_positive + counts.false_negative == len(set(truth[truth > 0]))
    assert counts.true_positive + counts.false_positive == len(set(found[found > 0]))
