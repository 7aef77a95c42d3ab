"""Sources of any kind from one TOML file."""

import pytest
from pydantic import ValidationError

from tests.unit.training.sets.pictures import draw, write_json
from tests.unit.training.sets.test_bcdata import write_points
from tests.unit.training.sets.test_coco import document
from tests.unit.training.sets.test_labelme import DOCUMENT
from training.sets.sources import MarksConfig, read_marks, read_sources, read_sources_file

TOML = """
[[data]]
kind = "labelme"
path = "ours"
mpp = 0.25
case_pattern = "^(P[0-9]+)/"

[[data]]
kind = "csv"
path = "table.csv"
images = "slides"
mpp = 0.5
label = "negative"
source = "second site"
columns = { x = "CX", y = "CY" }

[[data]]
kind = "coco"
path = "labels.json"
mpp = 0.23
label_map = { "mitotic figure" = "mitosis", "not mitotic figure" = "" }

[[data]]
kind = "bcdata"
path = "bc"
mpp = 0.25
splits = ["test"]

[[data]]
kind = "brecahad"
path = "."
mpp = 0.24
synthetic = true
"""


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "ours" / "P7" / "roi.json", DOCUMENT)
    draw(tmp_path / "slides" / "s.png")
    (tmp_path / "table.csv").write_text("image,CX,CY\ns,1,2\n")
    write_json(tmp_path / "labels.json", document([70, 50, 80, 60], [10, 10, 20, 30]))
    draw(tmp_path / "bc" / "images" / "test" / "0.png")
    for label in ("positive", "negative"):
        write_points(tmp_path / "bc" / "annotations" / "test" / label / "0.h5", [[1, 2]])
    draw(tmp_path / "mitosis_brecahad" / "images" / "Case_11-07.jpg")
    (tmp_path / "mitosis_brecahad" / "cells.csv").write_text("filename,class_name,x_center,y_center,width,height\n")
    (tmp_path / "own.toml").write_text(TOML)
    return tmp_path


def test_all_kinds_from_one_file(folder):
    images = read_sources_file(folder / "own.toml")
    found = [(image.name, image.case, image.source, image.mpp, len(image.marks), image.synthetic) for image in images]
    assert found == [
        ("P7-roi", "P7", "ours", 0.25, 4, False),
        ("s", "s", "second site", 0.5, 1, False),
        ("001", "001", "breast", 0.23, 1, False),
        ("sub-002", "sub-002", "labels", 0.23, 0, False),
        ("test-0", "test-0", "BCData", 0.25, 2, False),
        ("Case_11-07", "11", "BreCaHAD", 0.24, 0, True),
    ]
    assert images[2].marks[0].label == "mitosis"


def test_a_label_that_is_not_mapped_is_told(folder):
    config = MarksConfig(kind="labelme", path="ours", mpp=0.25, label_map={"positive": "mitosis"})
    with pytest.raises(ValueError, match="P7-roi: the label 'negative' is not in label_map"):
        read_marks(config, folder)


def test_a_name_without_a_case_is_told(folder):
    config = MarksConfig(kind="labelme", path="ours", mpp=0.25, case_pattern="Q[0-9]+")
    with pytest.raises(ValueError, match=r"'Q\[0-9\]\+' finds no case in 'P7/roi.png'"):
        read_marks(config, folder)


def test_a_pattern_without_a_group_is_the_case_as_a_whole(folder):
    config = MarksConfig(kind="labelme", path="ours", mpp=0.25, case_pattern="P[0-9]+")
    assert read_marks(config, folder)[0].case == "P7"


def test_two_images_of_one_name_are_told(folder):
    config = MarksConfig(kind="labelme", path="ours", mpp=0.25)
    with pytest.raises(ValueError, match="1 names of images come twice, 'P7-roi'"):
        read_sources([config, config], folder)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"kind": "xml"}, "kind"),
        ({"mpp": 0}, "mpp"),
        ({"colour": "red"}, "colour"),
        ({"case_pattern": "("}, "no regular expression"),
        ({"boxes": "sides"}, "boxes is for coco, not for csv"),
        ({"kind": "coco", "label": "a"}, "label is for csv, not for coco"),
        ({"columns": {"z": "Z"}}, "not for 'z'"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(values, problem):
    with pytest.raises(ValidationError, match=problem):
        MarksConfig.model_validate({"kind": "csv", "path": "a", "mpp": 0.25} | values)
