"""The real sets, as far as they are here."""

from collections import Counter

import numpy as np
import pytest

from training.sets.background import background_boxes, tissue_of
from training.sets.brecahad import read_brecahad
from training.sets.cells import cell_patches
from training.sets.coco import read_coco
from training.sets.patch_set import patches_of
from training.sets.splits import leave_one_case_out

pytestmark = pytest.mark.data


def test_brecahad(data_dir):
    images = read_brecahad(data_dir)
    cases = [image.case for image in images]
    assert Counter(cases) == {"11": 7, "12": 12, "13": 3}
    mitoses = np.array([len(image.points_px("Mitosis")) for image in images])
    assert np.bincount(leave_one_case_out(cases), weights=mitoses).tolist() == [0, 47, 8]
    labels = Counter(mark.label for image in images for mark in image.marks)
    assert labels == {"Mitosis": 55, "Apoptosis": 50, "Tumor_nuclei": 2120, "Non_tumor_nuclei": 237}
    assert {(image.width_px, image.height_px) for image in images} == {(1360, 1024)}


def test_cells_of_brecahad_are_darker_than_its_background(data_dir):
    image = next(image for image in read_brecahad(data_dir) if image.name == "Case_12-01")
    made = cell_patches(image, ("Tumor_nuclei",), 16, 0.25)
    # Not all nuclei are marked, yet a place drawn at random shows one less often.
    centres = background_boxes(image, 16, len(made), 0, is_tissue=tissue_of(image), cell_box_px=40)
    beside = patches_of(image, centres, ["x"] * len(centres), ("x",), 16, 0.25)
    assert len(beside) == len(made) > 20
    assert made.pixels[..., 0].mean() < beside.pixels[..., 0].mean() - 10


def test_midog_without_its_images(data_dir):
    images = read_coco(data_dir / "mitosis_coordinates" / "MIDOG++.json", 0.25)
    assert len(images) == 553
    labels = Counter(mark.label for image in images for mark in image.marks)
    assert labels == {"mitotic figure": 11_937, "not mitotic figure": 14_349}
    assert {(mark.width_px, mark.height_px) for image in images for mark in image.marks} == {(50.0, 50.0)}
    sources = Counter(image.source for image in images)
    assert (sources["human breast cancer"], sources["canine lung cancer"], len(sources)) == (200, 44, 7)
    assert (images[0].name, images[0].case, images[0].path.name) == ("001", "001", "001.tiff")
    with pytest.raises(FileNotFoundError, match=r"001 has labels and no pixels: there is no .*001\.tiff"):
        cell_patches(images[0], ("mitotic figure",), 64, 0.25)
