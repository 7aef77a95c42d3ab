"""BreCaHAD: its boxes, its cases, and every way its table can be broken."""

import pytest

from tests.unit.training.sets.pictures import draw
from training.sets.brecahad import case_of, read_brecahad

HEADER = "filename,class_name,x_center,y_center,width,height"


@pytest.fixture
def folder(tmp_path):
    for name in ("Case_12-02", "Case_11-07"):
        draw(tmp_path / "mitosis_brecahad" / "images" / f"{name}.jpg")
    return tmp_path


def write(folder, *rows: str, header: str = HEADER) -> None:
    (folder / "mitosis_brecahad" / "cells.csv").write_text("\n".join([header, *rows]) + "\n")


def test_boxes_by_centre_and_sides(folder):
    write(folder, "Case_12-02,Mitosis,30.5,40,20,10", "Case_12-02,Tubule,50,40,90,70")
    first, second = read_brecahad(folder)
    assert (first.name, first.case, first.marks) == ("Case_11-07", "11", ())
    assert (second.case, second.source, second.synthetic, second.mpp) == ("12", "BreCaHAD", False, 0.25)
    assert (second.width_px, second.height_px) == (100, 80)
    (mark,) = second.marks
    assert (mark.x_px, mark.y_px, mark.label, mark.width_px, mark.height_px) == (30.5, 40, "Mitosis", 20, 10)


def test_structures_come_when_they_are_asked_for(folder):
    write(folder, "Case_12-02,Mitosis,30,40,20,10", "Case_12-02,Tubule,50,40,90,70")
    assert [mark.label for mark in read_brecahad(folder, {"Tubule"})[1].marks] == ["Tubule"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("Case_11-08,Mitosis,1,1,2,2", "there is no image 'Case_11-08'"),
        ("Case_11-07,Mitose,1,1,2,2", "there is no class 'Mitose'"),
        ("Case_11-07,Mitosis,one,1,2,2", "x_center is 'one', not a finite number"),
        ("Case_11-07,Mitosis,nan,1,2,2", "x_center is 'nan'"),
        ("Case_11-07,Mitosis,1,1,2", "height is None"),
        ("Case_11-07,Mitosis,1,1,0,2", "a box of 0 x 2 px"),
        ("Case_11-07,Mitosis,120,1,20,20", r"'Mitosis' at \(120, 1\) px is outside of the 100 x 80 image"),
    ],
)
def test_a_broken_row_is_told_with_its_line(folder, row, problem):
    write(folder, "Case_12-02,Mitosis,30,40,20,10", row)
    with pytest.raises(ValueError, match=f"cells.csv, line 3: {problem}"):
        read_brecahad(folder)


def test_missing_columns_are_told(folder):
    write(folder, header="filename,label")
    with pytest.raises(ValueError, match="line 1: columns must be filename, class_name"):
        read_brecahad(folder)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cells\.csv"):
        read_brecahad(folder)
    write(folder)
    for image in (tmp_path / "mitosis_brecahad" / "images").iterdir():
        image.unlink()
    with pytest.raises(FileNotFoundError, match=r"\*\.jpg"):
        read_brecahad(folder)


def test_a_name_without_a_case_is_refused():
    assert case_of("Case_11-07") == "11"
    with pytest.raises(ValueError, match="names no case"):
        case_of("image-07")
