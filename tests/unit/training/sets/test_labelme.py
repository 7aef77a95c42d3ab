"""Labelme: shapes become marks, and a broken file is told of."""

from copy import deepcopy

import pytest

from tests.unit.training.sets.pictures import draw, write_json
from training.sets.labelme import read_labelme
from training.sets.marks import Mark

DOCUMENT = {
    "version": "5.5.0",
    "imagePath": "roi.png",
    "imageData": None,
    "imageWidth": 100,
    "imageHeight": 80,
    "shapes": [
        {"label": "positive", "points": [[10, 20]], "shape_type": "point"},
        {"label": "negative", "points": [[40, 40], [43, 44]], "shape_type": "circle"},
        {"label": "negative", "points": [[30, 50], [20, 10]], "shape_type": "rectangle"},
        {"label": "positive", "points": [[60, 60], [70, 60], [65, 72]], "shape_type": "polygon"},
    ],
}


def changed(**values) -> dict:
    return deepcopy(DOCUMENT) | values


def with_shape(**values) -> dict:
    return changed(shapes=[DOCUMENT["shapes"][0] | values])


def test_every_shape_gives_its_middle_and_box(tmp_path):
    write_json(tmp_path / "set" / "roi.json", DOCUMENT)
    draw(tmp_path / "set" / "roi.png")
    (image,) = read_labelme(tmp_path / "set", 0.25)
    assert image.marks == (
        Mark(10, 20, "positive"),
        Mark(40, 40, "negative", 10, 10),
        Mark(25, 30, "negative", 10, 40),
        Mark(65, 66, "positive", 10, 12),
    )
    assert (image.name, image.case, image.source, image.mpp) == ("roi", "roi", "set", 0.25)
    assert (image.width_px, image.height_px, image.path) == (100, 80, tmp_path / "set" / "roi.png")


def test_folders_below_give_names_and_cases(tmp_path):
    for patient in ("p2", "p1"):
        write_json(tmp_path / patient / "roi.json", changed(imagePath="..\\images\\roi.png"))
    draw(tmp_path / "images" / "roi.png")
    first, second = read_labelme(tmp_path, 0.25, case_of=lambda path: path.split("/")[0])
    assert (first.name, second.name) == ("p1-roi", "p2-roi")
    assert first.path.resolve() == (tmp_path / "images" / "roi.png").resolve()
    assert (first.case, second.case) == ("p1", "p2")


def test_labels_do_without_the_image(tmp_path):
    (image,) = read_labelme(write_json(tmp_path / "roi.json", DOCUMENT), 0.25)
    assert (image.width_px, image.height_px, len(image.marks)) == (100, 80, 4)


def test_the_image_tells_its_size_where_the_labels_do_not(tmp_path):
    draw(tmp_path / "roi.png")
    (image,) = read_labelme(write_json(tmp_path / "roi.json", changed(imageWidth=None, imageHeight=None)), 0.25)
    assert (image.width_px, image.height_px) == (100, 80)


def test_labels_of_another_image_are_refused(tmp_path):
    draw(tmp_path / "roi.png", 50, 40)
    with pytest.raises(ValueError, match=r"roi\.json: it tells of an image of 100 x 80 px, and the image has 50 x 40"):
        read_labelme(write_json(tmp_path / "roi.json", DOCUMENT), 0.25)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([1, 2], "it is no Labelme file: there is no shapes"),
        (changed(imagePath=""), "imagePath a name"),
        (changed(imageWidth=None), "imageWidth is None"),
        (changed(imageHeight=0), "imageHeight is 0, not a whole number of px"),
        (changed(imageHeight=80.5), "imageHeight is 80.5, not a whole number of px"),
        (with_shape(shape_type=["point"]), "shape 1: a ..point.."),
        (changed(shapes={}), "shapes must be a list"),
        (changed(shapes=[7]), "shape 1: no label"),
        (with_shape(label=""), "shape 1: no label"),
        (with_shape(shape_type="line"), "shape 1: a 'line'"),
        (with_shape(points=[]), "shape 1: a point with 0 points"),
        (with_shape(points=[[1, 2], [3, 4]]), "shape 1: a point with 2 points"),
        (with_shape(points=None), "shape 1: a point with no points"),
        (with_shape(points=[[1]]), r"shape 1: \[1\] is no point"),
        (with_shape(points=[[1, "two"]]), "shape 1: y is 'two', not a finite number"),
        (with_shape(points=[[1, float("inf")]]), "shape 1: y is inf"),
        (with_shape(points=[[1, 81]]), r"'positive' at \(1, 81\) px is outside of the 100 x 80 image"),
    ],
)
def test_a_broken_file_is_told(tmp_path, document, problem):
    with pytest.raises(ValueError, match=problem):
        read_labelme(write_json(tmp_path / "roi.json", document), 0.25)


def test_what_is_no_json_is_told(tmp_path):
    (tmp_path / "roi.json").write_text('{"shapes": [')
    with pytest.raises(ValueError, match=r"roi\.json: it is no JSON"):
        read_labelme(tmp_path, 0.25)


def test_a_box_may_reach_over_the_edge(tmp_path):
    shape = {"label": "a", "points": [[-6, 10], [4, 20]], "shape_type": "rectangle"}
    (image,) = read_labelme(write_json(tmp_path / "roi.json", changed(shapes=[shape])), 0.25)
    assert image.marks == (Mark(-1, 15, "a", 10, 10),)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no \*\.json"):
        read_labelme(tmp_path, 0.25)
