"""BreCaHAD: boxes of mitoses, apoptoses and nuclei in fields of breast cancer."""

import csv
from collections.abc import Collection
from pathlib import Path

from training.sets.checks import LabelsError, check_inside, image_size, number
from training.sets.marks import Mark, MarkedImage

FOLDER = "mitosis_brecahad"
SOURCE = "BreCaHAD"
MPP = 0.25
"""40x; the set does not state its pixel size, so this is about right and no more."""
CELLS = frozenset({"Mitosis", "Apoptosis", "Tumor_nuclei", "Non_tumor_nuclei"})
STRUCTURES = frozenset({"Tubule", "Non_tubule"})
"""Boxes of hundreds of px around glands, in the file though they are no cells."""
COLUMNS = ("filename", "class_name", "x_center", "y_center", "width", "height")


def read_brecahad(data_dir: Path, labels: Collection[str] = CELLS) -> tuple[MarkedImage, ...]:
    """The images with their cells, in order of name; the case of Case_11-07 is "11".

    Labels are as in the file, and not exhaustive for nuclei.

    Parameters
    ----------
    data_dir
        Holds `mitosis_brecahad`, with `cells.csv` and `images`.
    labels
        Classes to keep; by default cells alone, without the boxes around tubules.

    Raises
    ------
    FileNotFoundError
        The table or the images are missing.
    LabelsError
        A row names an unknown image or class, or has a broken number; a `ValueError` with the line's number.

    References
    ----------
    Aksac et al. 2019, doi:10.1186/s13104-019-4121-7; images under CC BY 4.0, doi:10.6084/m9.figshare.7379186.
    """
    table, folder = data_dir / FOLDER / "cells.csv", data_dir / FOLDER / "images"
    images = sorted(folder.glob("*.jpg"))
    for missing in [table] * (not table.is_file()) + [folder / "*.jpg"] * (not images):
        raise FileNotFoundError(f"BreCaHAD is not complete: there is no {missing}")
    sizes = {path.stem: image_size(path, MPP) for path in images}
    marks: dict[str, list[Mark]] = {path.stem: [] for path in images}
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if set(COLUMNS) - set(rows.fieldnames or ()):
            raise LabelsError(table, "line 1", f"columns must be {', '.join(COLUMNS)}")
        for row in rows:
            name, mark = _mark(table, rows.line_num, row, sizes)
            if mark.label in labels:
                marks[name].append(mark)
    return tuple(_image(path, sizes[path.stem], tuple(marks[path.stem])) for path in images)


def case_of(name: str) -> str:
    """The case of an image: "11" of Case_11-07.

    Raises
    ------
    ValueError
        The name is made in another way.
    """
    before, _, _ = name.partition("-")
    if not before.startswith("Case_") or not before.removeprefix("Case_"):
        raise ValueError(f"{name!r} names no case: BreCaHAD's images are named as Case_11-07")
    return before.removeprefix("Case_")


def _mark(table: Path, line: int, row: dict[str, str], sizes: dict[str, tuple[int, int]]) -> tuple[str, Mark]:
    place, name, label = f"line {line}", row["filename"], row["class_name"]
    if name not in sizes:
        raise LabelsError(table, place, f"there is no image {name!r}")
    if label not in CELLS | STRUCTURES:
        raise LabelsError(table, place, f"there is no class {label!r}")
    x, y, width, height = (number(table, place, column, row[column]) for column in COLUMNS[2:])
    if width <= 0 or height <= 0:
        raise LabelsError(table, place, f"a box of {width:g} x {height:g} px")
    mark = Mark(x, y, label, width, height)
    check_inside(table, place, mark, sizes[name])
    return name, mark


def _image(path: Path, size: tuple[int, int], marks: tuple[Mark, ...]) -> MarkedImage:
    return MarkedImage(path.stem, case_of(path.stem), SOURCE, False, path, MPP, *size, marks)
