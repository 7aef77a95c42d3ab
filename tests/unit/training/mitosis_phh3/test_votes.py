"""Labels of several readers."""

import numpy as np
import pytest

from training.mitosis.phh3.votes import agreed


def test_three_of_four_make_a_label_and_two_do_not():
    votes = [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    assert agreed(votes).tolist() == [1, 1, -1, 0]


def test_a_missing_vote_counts_for_nothing():
    assert agreed([[2, 2, 2, -1], [2, 2, -1, -1]]).tolist() == [2, -1]


def test_all_may_be_asked_for_and_a_minority_may_not():
    assert agreed([[1, 1, 0], [0, 0, 0]], least=3).tolist() == [-1, 0]
    for least in (2, 5):
        with pytest.raises(ValueError, match="majority"):
            agreed(np.zeros((3, 4), int), least=least)


def test_one_list_of_votes_is_no_table():
    with pytest.raises(ValueError, match="one row"):
        agreed([1, 1, 1])


def test_nothing_to_vote_on():
    assert agreed(np.zeros((0, 4), int)).shape == (0,)
