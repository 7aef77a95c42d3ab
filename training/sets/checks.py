"""What every reader of marks checks: the file is what it claims to be, and marks lie in their image."""

import json
import math
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from models.errors import RefusedInputError
from training.sets.marks import Mark
from workers.slides.opening import open_slide
from workers.slides.sniff import sniff


class LabelsError(ValueError):
    """A file of labels is broken; the sentence names the file, the place in it and what is wrong."""

    def __init__(self, path: Path, place: str, problem: str) -> None:
        super().__init__(f"{path.name}{', ' if place else ''}{place}: {problem}")


def image_size(path: Path, mpp: float) -> tuple[int, int]:
    """(width, height) in level-0 px of an image; of PNG and JPEG without decoding the pixels.

    Raises
    ------
    LabelsError
        It cannot be read as a slide; the sentence says why.
    """
    try:
        if sniff(path) in ("png", "jpeg"):
            with suppress(OSError, Image.DecompressionBombError), Image.open(path) as image:
                return image.size
        # What Pillow does not read is refused here, in words.
        slide = open_slide(path, mpp)
    except RefusedInputError as error:
        raise LabelsError(path, "", str(error)) from error
    try:
        return slide.info.width_px, slide.info.height_px
    finally:
        slide.close()


def files_in(path: Path, pattern: str) -> list[Path]:
    """A file itself, or the files of that pattern below a folder, in order of name.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    found = [path] if path.is_file() else sorted(path.rglob(pattern))
    if not found:
        raise FileNotFoundError(f"there is no {pattern} in {path}")
    return found


def read_json(path: Path) -> Any:  # noqa: ANN401 (any document)
    """The document in a JSON file.

    Raises
    ------
    FileNotFoundError
        There is none.
    LabelsError
        It is not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise LabelsError(path, "", f"it is no JSON ({error})") from error


def number(path: Path, place: str, name: str, value: object) -> float:
    """A finite number from a file, told as text or as a number.

    Raises
    ------
    LabelsError
        It is something else.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise LabelsError(path, place, f"{name} is {value!r}, not a finite number")
    return found


def side_px(path: Path, place: str, name: str, value: object) -> int:
    """A side of an image from a file.

    Raises
    ------
    LabelsError
        It is no whole number of px, or none at all.
    """
    found = number(path, place, name, value)
    if found < 1 or found != int(found):
        raise LabelsError(path, place, f"{name} is {value!r}, not a whole number of px")
    return int(found)


def check_inside(path: Path, place: str, mark: Mark, size_px: tuple[int, int]) -> None:
    """Nothing, where the mark lies in the image; a box may reach over the edge, as long as a part of it is inside.

    Raises
    ------
    LabelsError
        A point outside of the image, or a box that does not meet it.
    """
    width_px, height_px = size_px
    out_x = max(-mark.x_px, mark.x_px - width_px) > mark.width_px / 2
    out_y = max(-mark.y_px, mark.y_px - height_px) > mark.height_px / 2
    if out_x or out_y:
        problem = (
            f"{mark.label!r} at ({mark.x_px:g}, {mark.y_px:g}) px is outside of the {width_px} x {height_px} image"
        )
        raise LabelsError(path, place, problem)


def check_size(path: Path, told_px: tuple[int, int], found_px: tuple[int, int]) -> None:
    """Nothing, where the labels tell of an image of the size that it has.

    Raises
    ------
    LabelsError
        The labels belong to another image, or to a resampled one.
    """
    if told_px != found_px:
        told, found = (f"{width} x {height}" for width, height in (told_px, found_px))
        raise LabelsError(path, "", f"it tells of an image of {told} px, and the image has {found}")


def plain_name(path: str) -> str:
    """The name of an image from its path below the data's folder, fit for a file: roi-1 of roi/1.png."""
    return str(PurePosixPath(path).with_suffix("")).replace("/", "-")
