"""Dice and IoU of masks small enough to count by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.metrics.masks import dice, iou

TRUTH = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
SHIFTED = np.array([[0, 1, 1, 0], [0, 1, 1, 0]], bool)
EMPTY = np.zeros((2, 4), bool)


def test_dice_counts_the_common_area_twice_over_both_areas():
    assert dice(TRUTH, SHIFTED) == 2 * 2 / (4 + 4)


def test_iou_is_the_common_area_over_the_union():
    assert iou(TRUTH, SHIFTED) == 2 / 6


def test_nothing_to_find_and_nothing_found_is_perfect():
    assert dice(EMPTY, EMPTY) == iou(EMPTY, EMPTY) == 1.0


def test_something_found_where_nothing_is_scores_zero():
    assert dice(EMPTY, TRUTH) == iou(EMPTY, TRUTH) == 0.0


masks = st.lists(st.booleans(), min_size=12, max_size=12).map(lambda bits: np.array(bits).reshape(3, 4))


@given(masks, masks)
def test_dice_follows_from_iou_and_both_are_symmetric(truth, predicted):
    ratio = iou(truth, predicted)
    assert np.isclose(dice(truth, predicted), 2 * ratio / (1 + ratio))
    assert iou(predicted, truth) == ratio
    assert dice(predicted, truth) == dice(truth, predicted)
