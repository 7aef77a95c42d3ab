"""Labelme's JSON files: one beside each image, with points, circles, rectangles and polygons."""

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from training.sets.checks import (
    LabelsError,
    check_inside,
    check_size,
    files_in,
    image_size,
    number,
    plain_name,
    read_json,
    side_px,
)
from training.sets.marks import Mark, MarkedImage

LEAST_POINTS = {"point": 1, "circle": 2, "rectangle": 2, "polygon": 3}
MOST_POINTS = {"point": 1, "circle": 2, "rectangle": 4}


def read_labelme(path: Path, mpp: float, case_of: Callable[[str], str] = plain_name) -> tuple[MarkedImage, ...]:
    """The images of a Labelme file, or of all `*.json` below a folder, in order of name.

    A point is a mark without a box. A circle (centre and a point on it), a rectangle and a polygon give the box around
    them and its middle. The image need not be there: then its size is what the file says.

    Parameters
    ----------
    mpp
        um per px of the images.
    case_of
        From the image's path below the folder to its case; by default each image is a case of its own.

    Raises
    ------
    FileNotFoundError
        No such file, or no JSON in the folder.
    LabelsError
        A file is no Labelme file, has another kind of shape, or does not fit its image.
    """
    root = path if path.is_dir() else path.parent
    return tuple(_image(file, root, mpp, case_of) for file in files_in(path, "*.json"))


def shape_mark(path: Path, place: str, shape: object) -> Mark:
    """The mark of one shape of a Labelme file.

    Raises
    ------
    LabelsError
        It is of another kind, has no label, or a wrong number of points.
    """
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"]:
        raise LabelsError(path, place, "no label")
    kind, points = shape.get("shape_type", "polygon"), shape.get("points")
    if not isinstance(kind, str) or kind not in LEAST_POINTS:
        raise LabelsError(path, place, f"a {kind!r}: give points, circles, rectangles or polygons")
    if not isinstance(points, list) or not LEAST_POINTS[kind] <= len(points) <= MOST_POINTS.get(kind, len(points)):
        raise LabelsError(path, place, f"a {kind} with {len(points) if isinstance(points, list) else 'no'} points")
    pairs = [_pair(path, place, point) for point in points]
    if kind == "circle":
        (x, y), edge = pairs
        side = 2 * math.dist((x, y), edge)
        return Mark(x, y, shape["label"], side, side)
    (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*pairs, strict=True))
    return Mark((left + right) / 2, (top + bottom) / 2, shape["label"], right - left, bottom - top)


def _image(file: Path, root: Path, mpp: float, case_of: Callable[[str], str]) -> MarkedImage:
    told = read_json(file)
    for key in ("shapes", "imagePath", "imageWidth", "imageHeight"):
        if not isinstance(told, dict) or key not in told:
            raise LabelsError(file, "", f"it is no Labelme file: there is no {key}")
    if not isinstance(told["shapes"], list) or not isinstance(told["imagePath"], str) or not told["imagePath"]:
        raise LabelsError(file, "", "shapes must be a list, and imagePath a name")
    # Labelme on Windows writes backslashes.
    below = PurePosixPath(file.parent.relative_to(root).as_posix(), told["imagePath"].replace("\\", "/"))
    path = root / below
    width, height = _size(file, told, path, mpp)
    marks = tuple(shape_mark(file, f"shape {n}", shape) for n, shape in enumerate(told["shapes"], 1))
    for n, mark in enumerate(marks, 1):
        check_inside(file, f"shape {n}", mark, (width, height))
    name = plain_name(file.relative_to(root).as_posix())
    return MarkedImage(name, case_of(str(below)), root.name, False, path, mpp, width, height, marks)


def _size(file: Path, told: dict[str, Any], path: Path, mpp: float) -> tuple[int, int]:
    """The image's size: as the file says, and checked where the image is there."""
    sides = told["imageWidth"], told["imageHeight"]
    is_there = path.exists()
    if sides == (None, None) and is_there:
        return image_size(path, mpp)
    size = side_px(file, "", "imageWidth", sides[0]), side_px(file, "", "imageHeight", sides[1])
    if is_there:
        check_size(file, size, image_size(path, mpp))
    return size


def _pair(path: Path, place: str, point: object) -> tuple[float, float]:
    if not isinstance(point, list) or len(point) != 2:
        raise LabelsError(path, place, f"{point!r} is no point [x, y]")
    return number(path, place, "x", point[0]), number(path, place, "y", point[1])
