"""A counterstain may be nearly as blue as ink: a lymph node of blue nuclei is tissue."""

import numpy as np
import pytest

from workers.quality.ink import find_ink

CROWDED_NUCLEI = (101, 125, 152)
"""Mean of the hematoxylin nuclei of OS-2, a real Ki-67 IHC; as a mask pixel of 8 um sees them where they touch."""
BLUE_INK, GREEN_INK = (55, 105, 200), (60, 160, 130)


def _patch(colour):
    picture = np.full((120, 120, 3), 242, dtype=np.float64)
    picture[20:100, 20:100] = colour
    rough = picture + np.random.default_rng(3).normal(0, 4, picture.shape)
    return np.clip(np.rint(rough), 0, 255).astype(np.uint8)


def test_crowded_blue_nuclei_are_no_ink():
    assert not find_ink(_patch(CROWDED_NUCLEI), 8.0).any()


@pytest.mark.parametrize("colour", [BLUE_INK, GREEN_INK])
def test_ink_of_the_same_shape_is(colour):
    assert find_ink(_patch(colour), 8.0)[20:100, 20:100].all()
