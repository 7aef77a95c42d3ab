"""COCO-like JSON: both meanings of its boxes, told apart by the file's own evidence."""

from copy import deepcopy

import pytest

from tests.unit.training.sets.pictures import draw, write_json
from training.sets.coco import read_coco
from training.sets.marks import Mark


def document(*boxes: list, **row) -> dict:
    """Boxes in a 100 x 80 image; a second image has none."""
    return {
        "images": [
            {"id": 1, "file_name": "001.tiff", "width": 100, "height": 80, "tumor_type": "breast"},
            {"id": 2, "file_name": "sub/002.tiff", "width": 60, "height": 40},
        ],
        "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": 1 + n % 2, "bbox": box} | row for n, box in enumerate(boxes)
        ],
    }


def read(tmp_path, told: object, **options):
    return read_coco(write_json(tmp_path / "labels.json", told), 0.25, **options)


def test_corners_are_known_by_boxes_that_would_leave_the_image(tmp_path):
    first, second = read(tmp_path, document([70, 50, 80, 60], [10, 10, 20, 30]))
    assert first.marks == (Mark(75, 55, "mitotic figure", 10, 10), Mark(15, 20, "not mitotic figure", 10, 20))
    assert (first.name, first.case, first.source) == ("001", "001", "breast")
    assert first.path == tmp_path / "001.tiff"
    assert (second.name, second.marks, second.source, second.width_px) == ("sub-002", (), "labels", 60)


def test_sides_are_known_by_boxes_that_would_have_none(tmp_path):
    first, _ = read(tmp_path, document([60, 50, 10, 20]))
    assert first.marks == (Mark(65, 60, "mitotic figure", 10, 20),)


def test_boxes_that_may_be_both_are_refused_until_told(tmp_path):
    told = document([10, 10, 30, 30])
    with pytest.raises(ValueError, match='fit both as corners and as sides: give boxes = "corners"'):
        read(tmp_path, told)
    assert read(tmp_path, told, boxes="corners")[0].marks[0] == Mark(20, 20, "mitotic figure", 20, 20)
    assert read(tmp_path, told, boxes="sides")[0].marks[0] == Mark(25, 25, "mitotic figure", 30, 30)


def test_boxes_that_can_be_neither_are_refused(tmp_path):
    with pytest.raises(ValueError, match="fit neither"):
        read(tmp_path, document([60, 50, 10, 20], [10, 10, 150, 130], [90, 70, 95, 75]))


def test_without_boxes_there_is_nothing_to_guess(tmp_path):
    assert [image.marks for image in read(tmp_path, document())] == [(), ()]


def test_an_image_that_is_there_must_fit(tmp_path):
    draw(tmp_path / "slides" / "001.png", 100, 81)
    told = document([70, 50, 80, 60])
    told["images"][0]["file_name"] = "001.png"
    with pytest.raises(ValueError, match="tells of an image of 100 x 80 px, and the image has 100 x 81"):
        read(tmp_path, told, images=tmp_path / "slides")


def test_cases_come_from_names(tmp_path):
    images = read(tmp_path, document(), case_of=lambda name: name[:3])
    assert [image.case for image in images] == ["001", "sub"]


def without(key: str, of: str) -> dict:
    told = deepcopy(document([70, 50, 80, 60]))
    del told[of][0][key]
    return told


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ([], "it has no list of images"),
        ({"images": [], "annotations": []}, "it has no list of categories"),
        (without("width", "images"), "image 1: image without width"),
        (without("id", "images"), "image without id"),
        (without("name", "categories"), "category 1: category without name"),
        (without("bbox", "annotations"), "annotation 0: annotation without bbox"),
        (document([60, 50, 70]), "annotation 0: bbox is .* not four numbers"),
        (document([70, 50, 80, "x"]), "annotation 0: bbox is 'x', not a finite number"),
        (document([60, 50, float("nan"), 60]), "annotation 0: bbox is nan"),
        (document([70, 50, 80, 60], image_id=9), "annotation 0: there is no image 9"),
        (document([70, 50, 80, 60], category_id=9), "annotation 0: there is no category 9"),
        (document([70, 50, 80, 60], image_id=[1]), "neither a number nor a name"),
        (document() | {"categories": [{"id": 1, "name": 7}]}, "category 1: name is 7, not a name"),
        (document() | {"images": [{"id": 1, "file_name": ""}]}, "image 1: file_name is '', not a name"),
        (document() | {"images": document()["images"][:1] * 2}, "the same id"),
    ],
)
def test_a_broken_file_is_told(tmp_path, told, problem):
    with pytest.raises(ValueError, match=rf"labels\.json.*{problem}"):
        read(tmp_path, told)


def test_a_box_read_as_told_must_have_sides_and_meet_the_image(tmp_path):
    with pytest.raises(ValueError, match="annotation 0: its box has no sides, read as corners"):
        read(tmp_path, document([60, 50, 10, 20]), boxes="corners")
    with pytest.raises(ValueError, match=r"annotation 0: .* is outside of the 100 x 80 image"):
        read(tmp_path, document([120, 50, 10, 20]), boxes="sides")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels\.json"):
        read_coco(tmp_path / "labels.json", 0.25)
