"""Classification, worked by hand."""

import numpy as np
import pytest

from training.metrics.classification import accuracy, auc, class_scores, confusion_matrix


def test_a_confusion_matrix_worked_by_hand():
    truth, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    confusion = confusion_matrix(truth, predicted, 3)
    assert confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert accuracy(confusion) == pytest.approx(4 / 6)
    first, second, third, mean = class_scores(confusion, ("a", "b", "c"))
    assert (first.precision, first.recall, first.f1, first.support) == pytest.approx((1, 2 / 3, 0.8, 3))
    assert (second.precision, second.recall, second.f1, second.support) == pytest.approx((0.5, 0.5, 0.5, 2))
    assert (third.precision, third.recall, third.f1, third.support) == pytest.approx((0.5, 1, 2 / 3, 1))
    assert mean.precision == pytest.approx((3 * 1 + 2 * 0.5 + 0.5) / 6)
    assert (mean.name, mean.support) == ("average", 6)


def test_the_papers_table_5():
    """The published recalls and supports give the published accuracy."""
    confusion = np.array([[1148, 98, 6], [93, 1033, 14], [23, 1, 1337]])
    names = ("negative", "positive", "background")
    assert [row.support for row in class_scores(confusion, names)] == [1252, 1140, 1361, 3753]
    assert accuracy(confusion) == pytest.approx(0.937, abs=5e-4)
    assert class_scores(confusion, names)[3].f1 == pytest.approx(0.937, abs=1e-3)


def test_a_class_that_is_never_found_is_a_failure():
    rows = class_scores(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2), ("a", "b"))
    assert (rows[1].precision, rows[1].recall, rows[1].f1) == (0, 0, 0)
    with pytest.raises(ValueError, match="2 true and 1"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 2)


def test_auc_counts_pairs():
    positive = np.array([True, True, False, False])
    assert auc(np.array([3.0, 1.0, 2.0, 1.0]), positive) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    with pytest.raises(ValueError, match="positive and negative"):
        auc(np.array([1.0]), np.array([True]))
