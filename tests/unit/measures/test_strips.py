"""Which points lie in boxes, or beside them in their strips, against looking at each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.measures.strips import Boxes, list_runs, make_strips


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 80), most=st.integers(1, 9), side=st.integers(1, 60))
def test_the_points_of_boxes_are_those_of_looking_at_each(seed, count, most, side):
    rng = np.random.default_rng(seed)
    strips, order = make_strips(rng.integers(-side, side, (count, 2)).astype(float), most)
    corners = np.sort(rng.integers(-side - 3, side + 3, (2, 6, 2)), axis=0).astype(float)
    # A box of a box's points always holds some.
    corners[0, 0], corners[1, 0] = strips.places[0], strips.places[0]
    boxes = Boxes(*corners[0].T, *corners[1].T)
    listed = list_runs(strips.runs(boxes), count)
    places, strip = strips.places, np.repeat(np.arange(len(strips.left)), np.diff(strips.edges))
    assert (places[:, 0] >= strips.left[strip]).all()
    assert (places[:, 0] <= strips.right[strip]).all()
    for index in range(6):
        (left, top), (right, bottom) = corners[:, index]
        reached = (strips.right[strip] >= left) & (strips.left[strip] <= right)
        inside = reached & (places[:, 1] >= top) & (places[:, 1] <= bottom)
        assert sorted(listed[index][listed[index] < count]) == np.flatnonzero(inside).tolist()
    some = np.array([1, 4])
    part = strips.runs(boxes).part(some)
    width = int(part.totals.max())
    assert (list_runs(part, count) == listed[some, :width]).all()
    assert sorted(order) == list(range(count))


@pytest.mark.parametrize("most", [1, 3, 8])
def test_groups_hold_all_points_once(most):
    strips, _ = make_strips(np.random.default_rng(3).integers(0, 50, (101, 2)).astype(float), most)
    groups = strips.groups(most)
    assert groups.shape[1] == most
    assert np.concatenate([np.unique(group) for group in groups]).tolist() == list(range(101))


def test_strips_by_hand():
    # two strips: x up to 1 and from 5 on; in each by y
    places = np.array([(5, 9), (0, 4), (1, 2), (6, 3)], float)
    strips, order = make_strips(places, 1)
    assert order.tolist() == [2, 1, 3, 0]
    assert (strips.left.tolist(), strips.right.tolist()) == ([0, 5], [1, 6])
    boxes = Boxes(*(np.array([edge], float) for edge in (1, 2, 5, 9)))
    # (1, 2) and (5, 9) lie in it; (0, 4) and (6, 3) beside it
    assert list_runs(strips.runs(boxes), 4).tolist() == [[0, 1, 2, 3]]
    boxes = Boxes(*(np.array([edge, 7], float) for edge in (2, 3, 5, 9)))
    # the left strip ends before the first; the second lies beyond all
    assert list_runs(strips.runs(boxes), 4).tolist() == [[2, 3], [4, 4]]
