"""Brown, blue and rest on a picture made by hand."""

import numpy as np

from models.colour import from_hed
from models.dab import BLUE, BROWN, REST, dab_classes


def picture(*amounts: tuple[float, float, float]) -> np.ndarray:
    """One px of each amount of hematoxylin, eosin and DAB."""
    return from_hed(np.array([amounts], dtype=np.float32))


def test_brown_blue_and_rest():
    rgb = picture((0, 0, 0), (0.1, 0, 0.02), (0.9, 0, 0), (0.5, 0, 1.5), (0, 0, 0.5), (0.2, 0.3, 0.1))
    assert dab_classes(rgb).tolist() == [[REST, REST, BLUE, BROWN, BROWN, REST]]
    assert dab_classes(rgb).dtype == np.uint8


def test_thresholds_are_optical_densities():
    rgb = picture((0.42, 0, 0), (0.48, 0, 0), (0, 0, 0.32), (0, 0, 0.38))
    assert dab_classes(rgb).tolist() == [[REST, BLUE, REST, BROWN]]
    assert dab_classes(rgb, brown_density=0.3, blue_density=0.4).tolist() == [[BLUE, BLUE, BROWN, BROWN]]


def test_colours_as_they_are_seen():
    white, brown, blue, pink = (245, 245, 245), (110, 60, 25), (70, 100, 170), (235, 190, 210)
    rgb = np.array([[white, brown, blue, pink]], np.uint8)
    assert dab_classes(rgb).tolist() == [[REST, BROWN, BLUE, REST]]
