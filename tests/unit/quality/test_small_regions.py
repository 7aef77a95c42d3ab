"""A region cut out of a slide is finer and smaller: what is a speck there is measured against it."""

import numpy as np
import pytest

from tests.unit.quality.paintings import disc, glass, slide, stain
from workers.quality import find_tissue
from workers.quality.tissue import MIN_TISSUE_PART

MPP = 0.5
SIDE_PX = 512


def _region(radius: float):
    """A region of 256 um with one round nest of cells; a slide would drop what is under 80 um wide."""
    canvas = glass(SIDE_PX, SIDE_PX)
    nest = disc(canvas.shape, 400.0, 120.0, radius)
    return slide(stain(canvas, nest, {"hematoxylin": 0.4, "eosin": 0.2}), MPP), nest.mean()


@pytest.mark.parametrize("radius", [36, 60])
def test_a_nest_of_tumour_cells_in_the_corner_of_a_region_is_tissue(radius):
    region, part = _region(radius)
    assert part > MIN_TISSUE_PART
    assert np.isclose(find_tissue(region).mask.mean(), part, rtol=0.15)


def test_a_loose_cell_is_not():
    region, part = _region(18)
    assert part < MIN_TISSUE_PART
    assert not find_tissue(region).mask.any()
