"""COCO-like JSON, as MIDOG++ has it: images, categories, and a box for each annotation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.sets.checks import (
    LabelsError,
    check_inside,
    check_size,
    image_size,
    number,
    plain_name,
    read_json,
    side_px,
)
from training.sets.marks import Mark, MarkedImage

Boxes = Literal["auto", "corners", "sides"]
MOST_OUTSIDE = 0.01
"""Part of the boxes that may have their centre outside of the image: MIDOG++ has 2 such in 26,286."""


@dataclass(frozen=True)
class Picture:
    """An image as the file tells of it."""

    file_name: str
    width_px: int
    height_px: int
    source: str


def read_coco(
    path: Path,
    mpp: float,
    images: Path | None = None,
    boxes: Boxes = "auto",
    case_of: Callable[[str], str] = plain_name,
) -> tuple[MarkedImage, ...]:
    """The images of the file with their marks, in its order, images without marks included.

    Labels are the categories' names; the source is the image's `tumor_type`, or the file's name where there is none.
    Images need not be there: pixels alone are missed.

    Parameters
    ----------
    images
        The folder of the images; the file's own where None.
    boxes
        What a `bbox` holds: `corners` (x0, y0, x1, y1, as in MIDOG++) or `sides` (x0, y0, width, height, as in COCO).
        `auto` takes the one by which boxes have sides and lie in their images, and refuses files where both or none do.
    case_of
        From an image's file name to its case; by default each image is a case of its own.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    LabelsError
        It is no such JSON, or says what cannot be; the sentence names the annotation.

    References
    ----------
    Aubreville et al. 2023, doi:10.1038/s41597-023-02327-4 (MIDOG++).
    """
    told = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(told, dict) or not isinstance(told.get(key), list):
            raise LabelsError(path, "", f"it has no list of {key}")
    pictures = {_key(path, "image", row, "id"): _picture(path, row) for row in told["images"]}
    names = {_key(path, "category", row, "id"): _text(path, "category", row, "name") for row in told["categories"]}
    if len(pictures) != len(told["images"]) or len(names) != len(told["categories"]):
        raise LabelsError(path, "", "two images, or two categories, have the same id")
    owners = [_owner(path, row, pictures, names) for row in told["annotations"]]
    corners = _corners(path, told["annotations"], [pictures[owner] for owner in owners], boxes)
    marks: dict[object, list[Mark]] = {key: [] for key in pictures}
    for row, owner, (x0, y0, x1, y1) in zip(told["annotations"], owners, corners.tolist(), strict=True):
        mark = Mark((x0 + x1) / 2, (y0 + y1) / 2, names[row["category_id"]], x1 - x0, y1 - y0)
        check_inside(path, _place(row), mark, (pictures[owner].width_px, pictures[owner].height_px))
        marks[owner].append(mark)
    folder = images or path.parent
    return tuple(
        _image(path, folder / picture.file_name, picture, mpp, tuple(marks[key]), case_of(picture.file_name))
        for key, picture in pictures.items()
    )


def _corners(
    path: Path, annotations: Sequence[Mapping[str, Any]], pictures: Sequence[Picture], boxes: Boxes
) -> NDArray[np.float64]:
    """(n, 4) x0, y0, x1, y1 of all boxes."""
    given = np.array([_bbox(path, row) for row in annotations], np.float64).reshape(-1, 4)
    readings = {"corners": given, "sides": np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], axis=1)}
    sizes_px = np.array([(p.width_px, p.height_px) for p in pictures], np.float64).reshape(-1, 2)
    if boxes == "auto" and len(given):
        fitting = [name for name, reading in readings.items() if _fits(reading, sizes_px)]
        if len(fitting) != 1:
            problem = "fit both as corners and as sides" if fitting else "fit neither as corners nor as sides"
            raise LabelsError(path, "", f'its boxes {problem}: give boxes = "corners" or boxes = "sides"')
        found = readings[fitting[0]]
    else:
        found = readings["sides" if boxes == "sides" else "corners"]
    flat = np.flatnonzero((found[:, 2:] <= found[:, :2]).any(axis=1))
    if len(flat):
        raise LabelsError(path, _place(annotations[flat[0]]), f"its box has no sides, read as {boxes}")
    return found


def _fits(corners: NDArray[np.float64], sizes_px: NDArray[np.float64]) -> bool:
    """Whether all boxes have sides, and next to all have their centre in their image."""
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    outside = ((centres < 0) | (centres > sizes_px)).any(axis=1)
    return bool((corners[:, 2:] > corners[:, :2]).all() and outside.mean() <= MOST_OUTSIDE)


def _bbox(path: Path, row: Mapping[str, Any]) -> list[float]:
    values = _key(path, "annotation", row, "bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise LabelsError(path, _place(row), f"bbox is {values!r}, not four numbers")
    return [number(path, _place(row), "bbox", value) for value in values]


def _owner(
    path: Path, row: Mapping[str, Any], pictures: Mapping[object, Picture], names: Mapping[object, str]
) -> object:
    """The id of an annotation's image, once that and its category are known to be there."""
    owner, category = _key(path, "annotation", row, "image_id"), _key(path, "annotation", row, "category_id")
    for kind, value, known in (("image", owner, pictures), ("category", category, names)):
        if value not in known:
            raise LabelsError(path, _place(row), f"there is no {kind} {value!r}")
    return owner


def _picture(path: Path, row: Mapping[str, Any]) -> Picture:
    name, place = _text(path, "image", row, "file_name"), f"image {row['id']}"
    width, height = (side_px(path, place, side, _key(path, "image", row, side)) for side in ("width", "height"))
    return Picture(name, width, height, str(row.get("tumor_type", path.stem)))


def _key(path: Path, kind: str, row: object, key: str) -> Any:  # noqa: ANN401 (any value of a document)
    if not isinstance(row, dict) or row.get(key) is None:
        place = f"{kind} {row['id']}" if isinstance(row, dict) and "id" in row else ""
        raise LabelsError(path, place, f"{kind} without {key}")
    if key.endswith("id") and not isinstance(row[key], int | str):
        raise LabelsError(path, "", f"{kind} with {key} = {row[key]!r}, which is neither a number nor a name")
    return row[key]


def _text(path: Path, kind: str, row: Mapping[str, Any], key: str) -> str:
    value = _key(path, kind, row, key)
    if not isinstance(value, str) or not value:
        raise LabelsError(path, f"{kind} {row['id']}", f"{key} is {value!r}, not a name")
    return value


def _place(row: Mapping[str, Any]) -> str:
    return f"annotation {row.get('id', 'without id')}"


def _image(path: Path, file: Path, picture: Picture, mpp: float, marks: tuple[Mark, ...], case: str) -> MarkedImage:
    size = (picture.width_px, picture.height_px)
    if file.exists():
        check_size(path, size, image_size(file, mpp))
    return MarkedImage(plain_name(picture.file_name), case, picture.source, False, file, mpp, *size, marks)
