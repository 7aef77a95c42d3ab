"""Grades of counts."""

import pytest

from workers.measures.grades import grade


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (6, 1), (6.5, 2), (7, 2), (20, 2), (20.05, 3), (21, 3)])
def test_the_papers_thresholds_belong_to_the_lower_grade(count, expected):
    assert grade(count) == expected


def test_thresholds_out_of_order_and_negative_counts_are_refused():
    with pytest.raises(ValueError, match="theta1"):
        grade(3, 9, 4)
    with pytest.raises(ValueError, match="count"):
        grade(-1)
    with pytest.raises(ValueError, match="count"):
        grade(float("nan"))
