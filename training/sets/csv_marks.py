"""Tables of points or boxes: one row a mark."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from training.sets.checks import LabelsError, check_inside, image_size, number, plain_name
from training.sets.marks import Mark, MarkedImage

GUESSES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "filename", "file_name", "file", "slide"),
    "label": ("label", "class_name", "class", "category"),
    "case": ("case", "patient"),
    "x": ("x", "x_px", "x_center"),
    "y": ("y", "y_px", "y_center"),
    "width": ("width", "w"),
    "height": ("height", "h"),
    "xmin": ("xmin", "x_min", "x0", "left"),
    "ymin": ("ymin", "y_min", "y0", "top"),
    "xmax": ("xmax", "x_max", "x1", "right"),
    "ymax": ("ymax", "y_max", "y1", "bottom"),
}
"""What a column is for, and names it is found by, the first one first."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".dcm", ".png", ".jpg", ".jpeg")


def read_csv_marks(
    path: Path,
    mpp: float,
    images: Path | None = None,
    columns: Mapping[str, str] | None = None,
    label: str = "",
    case_of: Callable[[str], str] = plain_name,
) -> tuple[MarkedImage, ...]:
    """The images that a table names, with their marks, in order of name; an image without a row is not among them.

    Marks are points (x, y), boxes by centre and sides (x, y, width, height) or boxes by corners (xmin, ymin, xmax,
    ymax), in level-0 px. Columns are parted by commas, semicolons or tabs.

    Parameters
    ----------
    images
        The folder of the images; the table's own where None. A row may name its image with or without the suffix.
    columns
        Names of columns by what they are for, where they are not among `GUESSES`: {"x": "CentroidX"}.
    label
        The label of all marks, where there is no column of labels.
    case_of
        From an image's file name to its case; a column of cases goes before it.

    Raises
    ------
    FileNotFoundError
        There is no table, or no folder.
    LabelsError
        A column is missing; a row has a broken number, no such image or two cases; with the line's number.
    """
    folder = images or path.parent
    for needed in (path, folder):
        if not needed.exists():
            raise FileNotFoundError(f"there is no {needed}")
    files = {file.name: file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES}
    marks: dict[Path, list[Mark]] = {}
    cases: dict[Path, str] = {}
    sizes: dict[Path, tuple[int, int]] = {}
    for place, row in _rows(path, columns or {}, label):
        file = _file(path, place, row["image"], files)
        if file not in sizes:
            sizes[file], marks[file] = image_size(file, mpp), []
            cases[file] = row.get("case") or case_of(file.name)
        if row.get("case", cases[file]) != cases[file]:
            raise LabelsError(path, place, f"{file.name} is of case {row['case']!r} here and of {cases[file]!r} above")
        mark = _mark(path, place, row, label)
        check_inside(path, place, mark, sizes[file])
        marks[file].append(mark)
    return tuple(
        MarkedImage(file.stem, cases[file], path.stem, False, file, mpp, *sizes[file], tuple(marks[file]))
        for file in sorted(marks)
    )


def columns_of(path: Path, header: list[str], told: Mapping[str, str]) -> dict[str, str]:
    """The column for each use, as told or by a usual name.

    Raises
    ------
    LabelsError
        A column that was told is missing, or there are no places: neither x and y nor four corners.
    """
    unknown = sorted(set(told) - set(GUESSES))
    missing = sorted(set(told.values()) - set(header))
    if unknown or missing:
        problem = f"there is no use {unknown[0]!r}" if unknown else f"there is no column {missing[0]!r}"
        raise LabelsError(path, "line 1", f"{problem}; columns are {', '.join(header)}")
    by_name = {name.strip().lower(): name for name in reversed(header)}
    found = dict(told)
    for use, guesses in GUESSES.items():
        fitting = [by_name[guess] for guess in guesses if guess in by_name]
        if use not in told and fitting:
            found[use] = fitting[0]
    if "image" not in found:
        raise LabelsError(path, "line 1", f"no column names the image; columns are {', '.join(header)}")
    has_centre, has_corners = {"x", "y"} <= set(found), set(CORNERS) <= set(found)
    if has_centre == has_corners or ("width" in found) != ("height" in found):
        problem = "give either x and y (and both or none of width and height) or xmin, ymin, xmax, ymax"
        raise LabelsError(path, "line 1", f"{problem}; columns are {', '.join(header)}")
    return found


def _rows(path: Path, told: Mapping[str, str], label: str) -> list[tuple[str, dict[str, str]]]:
    """Every row with its place in the file, values by what they are for."""
    try:
        text = path.read_text("utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
        columns = columns_of(path, list(reader.fieldnames or ()), told)
        rows = [(f"line {reader.line_num}", row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(path, "", f"it is no table in UTF-8 ({error})") from error
    if "label" not in columns and not label:
        raise LabelsError(path, "line 1", "no column of labels: name one, or give one label for all marks")
    found = []
    for place, row in rows:
        if None in row or None in row.values():
            raise LabelsError(path, place, f"it has not as many values as there are columns ({len(row)})")
        found.append((place, {use: row[name].strip() for use, name in columns.items()}))
    return found


def _file(path: Path, place: str, name: str, files: Mapping[str, Path]) -> Path:
    """The image that a row names, with or without its suffix."""
    fitting = [files[name]] if name in files else [file for file in files.values() if file.stem == name]
    if len(fitting) != 1:
        problem = "there is no image" if not fitting else f"there are {len(fitting)} images"
        raise LabelsError(path, place, f"{problem} {name!r}")
    return fitting[0]


def _mark(path: Path, place: str, row: Mapping[str, str], label: str) -> Mark:
    values = {use: number(path, place, use, text) for use, text in row.items() if use not in ("image", "label", "case")}
    name = row.get("label", label)
    if not name:
        raise LabelsError(path, place, "no label")
    if "xmin" in values:
        x0, y0, x1, y1 = (values[use] for use in CORNERS)
        x, y, width, height = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    else:
        x, y, width, height = values["x"], values["y"], values.get("width", 0.0), values.get("height", 0.0)
    if width < 0 or height < 0:
        raise LabelsError(path, place, f"a box of {width:g} x {height:g} px")
    return Mark(x, y, name, width, height)
