"""Real nuclei with outlines, at a common scale, and the pictures that are made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from training.deepliif.config import RealConfig
from training.deepliif.masks import Flags, Instances, Picture, draw_mask, number_cells
from training.deepliif.panels import Panels
from training.deepliif.stains import Amounts, Reference, draw_look, mix, move_stain, read_reference

DSB, TNBC = "nuclei_dsb2018", "nuclei_tnbc"
REFERENCES = {"OS-2": "ki67_ihc_openslide/OS-2-ndpi.ome.tif", "skimage_ihc": "single_images/skimage_ihc.png"}
SCALES = (0.5, 2.5)
"""Images are not shrunk or blown up further than this."""
LEAST_PX = 30
"""Smaller pieces of a nucleus are left out after scaling."""
FLAT_WHITE, DARK = np.array([201.0, 211.0, 208.0]), 10.0
"""Backgrounds of DeepLIIF's hematoxylin channel, and of DAPI and marker."""


@dataclass(frozen=True, eq=False)
class RealImage:
    """A purple picture and its nuclei."""

    name: str
    source: str
    rgb: Picture
    instances: Instances


@dataclass(frozen=True, eq=False)
class Cells:
    """A picture's panels and the truth behind its mask."""

    panels: Panels
    instances: Instances
    positive: Flags
    """(n,): of instance k + 1."""


def read_images(data_dir: Path) -> Iterator[RealImage]:
    """Every image with outlines, as it is in its file, in a fixed order.

    Raises
    ------
    FileNotFoundError
        A set is missing.
    """
    for source, labels in ((DSB, "labels"), (TNBC, "masks")):
        paths = sorted((data_dir / source / "images").glob("*.png"))
        if not paths:
            raise FileNotFoundError(f"no images of {source} in {data_dir}: give --data, or set data.real.use to false")
        for path in paths:
            given = np.asarray(Image.open(data_dir / source / labels / path.name))
            numbered = ndimage.label((given if given.ndim == 2 else given[..., 0]) > 0)[0] if source == TNBC else given
            instances = number_cells(numbered)[0]
            yield RealImage(path.stem, source, np.asarray(Image.open(path).convert("RGB")), instances)


def read_references(data_dir: Path) -> tuple[Reference, ...]:
    """The stain references, from real IHC.

    Raises
    ------
    FileNotFoundError
        One is missing.
    """
    missing = [path for path in REFERENCES.values() if not (data_dir / path).is_file()]
    if missing:
        raise FileNotFoundError(f"there is no {missing[0]} in {data_dir}: give --data, or set data.real.use to false")
    return tuple(read_reference(name, read_ihc(data_dir / path)) for name, path in REFERENCES.items())


def read_ihc(path: Path) -> Picture:
    """A picture or a small slide as RGB, uint8 (H, W, 3)."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return np.asarray(Image.open(path).convert("RGB"))
    from workers.geometry import Box
    from workers.slides.opening import open_slide

    slide = open_slide(path)
    try:
        return np.asarray(slide.read(Box(0, 0, slide.info.width_px, slide.info.height_px), slide.info.mpp))
    finally:
        slide.close()


def rescaled(image: RealImage, nucleus_px: float, least_px: int) -> RealImage:
    """The image at a scale at which its median nucleus has that diameter, mirrored to sides of `least_px` or more."""
    areas = np.bincount(image.instances.ravel())[1:]
    usual = 2 * np.sqrt(np.median(areas[areas > 0]) / np.pi) if (areas > 0).any() else nucleus_px
    scale = float(np.clip(nucleus_px / usual, *SCALES))
    width, height = (max(8, round(side * scale)) for side in image.instances.shape[::-1])
    how = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    rgb = np.asarray(Image.fromarray(image.rgb).resize((width, height), how))
    instances = _resized(image.instances, (width, height))
    rows, columns = (_mirror(side, max(side, least_px)) for side in (height, width))
    rgb, instances = rgb[rows[:, None], columns], instances[rows[:, None], columns]
    return RealImage(image.name, image.source, rgb, _whole(instances))


def turned_ihc(
    image: RealImage, references: Sequence[Reference], config: RealConfig, seed: tuple[int, ...], boundary_px: int
) -> Cells:
    """The image as IHC, a drawn part of its nuclei positive; modalities are black where none are derived."""
    generator = np.random.default_rng(seed)
    count = int(image.instances.max(initial=0))
    positive = generator.random(count) < generator.uniform(*config.positive)
    look = draw_look(references, generator)
    amounts = move_stain(image.rgb, image.instances, positive, look, generator)
    ihc = mix(amounts, look, generator)
    mask = draw_mask(image.instances, positive, boundary_px)
    modalities = derived_modalities(amounts, image.instances) if config.derived else (np.zeros_like(ihc),) * 4
    return Cells(Panels(ihc, *modalities, mask), image.instances, positive)


def derived_modalities(amounts: Amounts, instances: Instances) -> tuple[Picture, Picture, Picture, Picture]:
    """Hematoxylin, DAPI, Lap2 and marker as amounts of stain and outlines let one expect them.

    They are no measurement: hematoxylin is the counterstain alone; DAPI is that within the outlines, on black; Lap2 a
    rim along the outlines; the marker the DAB within them. Strengths are those of the phantoms' channels.
    """
    inside = instances > 0
    usual = float(np.median(amounts.blue[inside])) if inside.any() else 1.0
    blue = np.clip(amounts.blue / max(usual, 1e-3), 0, 3)
    direction = np.array([0.84, 0.49, 0.21]) * 0.75
    hematoxylin = FLAT_WHITE * np.exp(-blue[..., None] * direction)
    depth = ndimage.distance_transform_edt(_inner(instances))
    rim = np.clip(1 - np.abs(depth - 1.5) / 3.2, 0, 1) * inside
    dapi = DARK + 140 * blue * inside
    marker = DARK + 55 * amounts.brown * inside
    shown = (hematoxylin, dapi, 190 * rim + 26 * inside, marker)
    return tuple(_picture(s) for s in shown)  # type: ignore[return-value]


def _inner(instances: Instances) -> Flags:
    """True off the lines between nuclei that touch."""
    around = np.pad(instances, 1, mode="edge")
    same = [around[:-2, 1:-1], around[1:-1, :-2]]
    alone: Flags = (instances > 0) & np.logical_and.reduce([(n == instances) | (n == 0) for n in same])
    return alone


def _picture(values: NDArray[np.float64]) -> Picture:
    shown = np.clip(values, 0, 245).round().astype(np.uint8)
    return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)


def _resized(instances: Instances, size: tuple[int, int]) -> Instances:
    return np.asarray(Image.fromarray(instances).resize(size, Image.Resampling.NEAREST), np.int32)


def _whole(instances: Instances) -> Instances:
    """One number for each connected piece; crumbs are left out."""
    from skimage.measure import label

    pieces = label(instances, background=0, connectivity=1)
    areas = np.bincount(pieces.ravel())
    kept = np.where(areas[pieces] >= LEAST_PX, pieces, 0)
    return number_cells(kept)[0]


def _mirror(length: int, wanted: int) -> NDArray[np.int64]:
    """There and back again, the ends twice."""
    place = np.arange(wanted) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)
