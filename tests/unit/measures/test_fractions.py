"""Densities and the ratio of two areas, by hand."""

import pytest

from workers.measures.fractions import Fractions, area_fractions


def test_fractions_by_hand():
    assert area_fractions(1.0, 3.0, 8.0) == Fractions(d_pos=0.125, d_neg=0.375, r_pos=0.25)


def test_no_area_of_either_class_has_no_ratio():
    assert area_fractions(0.0, 0.0, 8.0) == Fractions(d_pos=0.0, d_neg=0.0, r_pos=None)


def test_no_tissue_has_no_density():
    assert area_fractions(0.0, 0.0, 0.0) == Fractions(None, None, None)


@pytest.mark.parametrize("areas", [(-1.0, 1, 1), (1, -1.0, 1), (1, 1, -1.0)])
def test_negative_areas_are_refused(areas):
    with pytest.raises(ValueError, match="negative"):
        area_fractions(*areas)
