"""Patches with a cell in the middle."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from training.sets.cells import cell_patches, class_counts
from training.sets.marks import Mark, MarkedImage
from training.sets.patch_set import join


@pytest.fixture
def image(tmp_path) -> MarkedImage:
    """20 x 10 px, red is the column."""
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[..., 0] = np.arange(20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    marks = (Mark(5, 5, "yes"), Mark(9, 5, "other"), Mark(14, 5, "no"), Mark(6, 4, "yes"))
    return MarkedImage("a", "case-1", "drawn", False, tmp_path / "a.png", 0.25, 20, 10, marks)


def test_patches_are_of_the_classes_alone(image):
    made = cell_patches(image, ("no", "yes"), 4, 0.25)
    assert made.labels.tolist() == [1, 0, 1]
    assert made.pixels[:, 2, 2, 0].tolist() == [5, 14, 6]
    assert made.classes == ("no", "yes")


def test_an_image_without_cells_gives_none(image):
    assert cell_patches(replace(image, marks=()), ("no", "yes"), 4, 0.25).pixels.shape == (0, 4, 4, 3)


def test_counts_are_by_case_and_class(image):
    other = replace(image, case="case-0", marks=image.marks[:1])
    made = join([cell_patches(each, ("no", "yes"), 4, 0.25) for each in (image, other)])
    assert class_counts(made) == {"case-0": {"no": 0, "yes": 1}, "case-1": {"no": 1, "yes": 2}}


def test_labels_without_pixels_are_told_of(image):
    with pytest.raises(FileNotFoundError, match="a has labels and no pixels"):
        cell_patches(replace(image, path=image.path.with_name("b.png")), ("no", "yes"), 4, 0.25)
