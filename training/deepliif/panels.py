"""DeepLIIF's training data: one PNG for each image, its panels side by side, in folders `train` and `val`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]

SIDE_PX = 512
PARTS = ("train", "val")


class PanelsInvalidError(ValueError):
    """A file or folder is not laid out as DeepLIIF's training data."""


@dataclass(frozen=True, eq=False)
class Panels:
    """One training image, uint8 (side, side, 3) each, in the order in which they lie from left to right."""

    ihc: Picture
    hematoxylin: Picture
    dapi: Picture
    lap2: Picture
    marker: Picture
    seg: Picture
    """Red positive, blue negative, green boundary."""


NAMES = tuple(field.name for field in fields(Panels))


def join_panels(panels: Panels) -> Picture:
    """The panels side by side, uint8 (side, 6 side, 3).

    Raises
    ------
    PanelsInvalidError
        A panel is no square RGB picture, or not as large as the first.
    """
    pictures = [getattr(panels, name) for name in NAMES]
    side = pictures[0].shape[0]
    for name, picture in zip(NAMES, pictures, strict=True):
        if picture.shape != (side, side, 3) or picture.dtype != np.uint8:
            raise PanelsInvalidError(
                f"the panel {name} is {picture.dtype} {picture.shape}: all are uint8 {(side,) * 2}, 3"
            )
    return np.concatenate(pictures, axis=1)


def split_panels(picture: Picture, side_px: int = SIDE_PX) -> Panels:
    """The panels of a picture (side, 6 side, 3).

    Raises
    ------
    PanelsInvalidError
        The picture has another size.
    """
    wanted = (side_px, len(NAMES) * side_px, 3)
    if picture.shape != wanted or picture.dtype != np.uint8:
        raise PanelsInvalidError(
            f"the picture is {picture.dtype} {picture.shape}: {len(NAMES)} panels of {side_px} px are uint8 {wanted}"
        )
    return Panels(*(np.ascontiguousarray(part) for part in np.split(picture, len(NAMES), axis=1)))


def write_panels(path: Path, panels: Panels) -> None:
    """Write one training image as PNG.

    Raises
    ------
    PanelsInvalidError
        A panel has another size, or the name does not end in .png.
    """
    if path.suffix != ".png":
        raise PanelsInvalidError(f"{path.name} is no name of a PNG: panels must be stored without loss")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(join_panels(panels)).save(path)


def read_panels(path: Path, side_px: int = SIDE_PX) -> Panels:
    """One training image.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    PanelsInvalidError
        It is no RGB picture of six panels.
    """
    # The sides are checked from the header, before any pixel is decoded.
    try:
        with Image.open(path) as image:
            if image.mode != "RGB" or image.size != (len(NAMES) * side_px, side_px):
                raise PanelsInvalidError(
                    f"{path.name} is {image.mode} of {image.size[0]} x {image.size[1]} px: "
                    f"give RGB of {len(NAMES) * side_px} x {side_px} px"
                )
            return split_panels(np.asarray(image), side_px)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PanelsInvalidError(f"{path.name} is no readable picture: {error}") from error


def write_training_data(folder: Path, parts: Mapping[str, Mapping[str, Panels]]) -> None:
    """Write `folder/train/<name>.png` and `folder/val/<name>.png`.

    Raises
    ------
    PanelsInvalidError
        A part is neither `train` nor `val`, or a name is in both.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise PanelsInvalidError(f"there is no part {', '.join(unknown)}: parts are {' and '.join(PARTS)}")
    shared = sorted(set.intersection(*(set(parts.get(part, ())) for part in PARTS)))
    if shared:
        raise PanelsInvalidError(f"{', '.join(shared)[:80]} would be trained on and validated with")
    for part in PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name, panels in parts.get(part, {}).items():
            write_panels(folder / part / f"{name}.png", panels)


def list_training_data(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Paths of the training images of each part, by name.

    Raises
    ------
    PanelsInvalidError
        A part's folder is missing or holds no PNG.
    """
    found = {part: tuple(sorted((folder / part).glob("*.png"))) for part in PARTS}
    empty = [part for part, paths in found.items() if not paths]
    if empty:
        raise PanelsInvalidError(f"{folder.name} holds no PNG in {' and '.join(empty)}: both train and val are needed")
    return found
