"""Patches: cut where the marks are, kept as they were."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.sets.marks import Mark, MarkedImage
from training.sets.patch_set import PatchSet, join, patches_of, read_patch_set, write_patch_set

CLASSES = ("no", "yes")


@pytest.fixture
def image(tmp_path) -> MarkedImage:
    """32 x 24 px; red is the column, green the row."""
    rows, columns = np.mgrid[:24, :32].astype(np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(np.stack([columns, rows, np.full_like(rows, 7)], axis=-1)).save(path)
    marks = (Mark(10, 12, "yes"), Mark(31, 1, "no"), Mark(4, 4, "yes"))
    return MarkedImage("one", "case-1", "drawn", True, path, 0.25, 32, 24, marks)


def patches(image: MarkedImage) -> PatchSet:
    return patches_of(image, image.points_px(), [m.label for m in image.marks], CLASSES, 8, 0.25)


def test_a_patch_lies_around_its_point(image):
    made = patches(image)
    assert made.pixels.shape == (3, 8, 8, 3)
    assert made.pixels[0, 4, 4].tolist() == [10, 12, 7]
    assert made.pixels[0, 0, 0].tolist() == [6, 8, 7]
    assert made.labels.tolist() == [1, 0, 1]


def test_outside_of_the_slide_is_white(image):
    corner = patches(image).pixels[1]
    assert corner[0].tolist() == [[255] * 3] * 8
    assert corner[:, 5:].min() == 255
    assert corner[3, 4].tolist() == [31, 0, 7]


def test_a_coarser_patch_shows_more(image):
    made = patches_of(image, image.points_px("yes"), ["yes", "yes"], CLASSES, 4, 0.5)
    assert made.pixels[0, 2, 2, 0] == pytest.approx(10.5, abs=1)
    assert made.pixels[0, 0, 0, 0] == pytest.approx(6.5, abs=1)


def test_a_set_comes_back_from_disk(image, tmp_path):
    made = patches(image)
    write_patch_set(tmp_path / "set", made)
    back = read_patch_set(tmp_path / "set")
    assert back.digest() == made.digest()
    assert back.take(np.array([2, 0])).x_px.tolist() == [4.0, 10.0]
    assert isinstance(back.pixels, np.memmap)


def test_a_set_whose_writing_did_not_end_is_none(image, tmp_path):
    write_patch_set(tmp_path / "set", patches(image))
    (tmp_path / "set" / "set.json").unlink()
    with pytest.raises(FileNotFoundError, match="prepare"):
        read_patch_set(tmp_path / "set")


@pytest.mark.parametrize("column", ["pixels", "labels", "cases", "x_px"])
def test_the_digest_sees_every_column(image, column):
    made = patches(image)
    changed = getattr(made, column).copy()
    changed[0] = "another" if column == "cases" else 0
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__} | {column: changed}
    assert PatchSet(**fields).digest() != made.digest()


def test_sets_of_other_classes_are_not_joined(image):
    made = patches(image)
    assert len(join([made, made])) == 6
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__} | {"classes": ("a", "b")}
    with pytest.raises(ValueError, match="one kind"):
        join([made, PatchSet(**fields)])


def test_a_column_too_short_is_refused(image):
    made = patches(image)
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__} | {"labels": made.labels[:2]}
    with pytest.raises(ValueError, match="as long as"):
        PatchSet(**fields)


def test_a_file_that_is_not_there_is_told(image):
    gone = MarkedImage("one", "c", "drawn", True, Path("/nowhere.png"), 0.25, 32, 24, image.marks)
    with pytest.raises(Exception, match=r"nowhere|no file|No such|not.*found"):
        patches(gone)
