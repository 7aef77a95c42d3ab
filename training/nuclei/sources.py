"""The labelled images the nuclei network learns from, each brought to one scale."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from training.nuclei.config import DataConfig

Kind = Literal["he", "stained", "blank"]
RGB = NDArray[np.uint8]
Instances = NDArray[np.int32]

TNBC_MPP = 0.25
"""TNBC was scanned at 40x; the exact pixel size is not published (doi:10.5281/zenodo.1175282)."""
BLANK_TILES = ("almost-white-2", "no-tissue-green-pen", "no-tissue-line")
"""Tiles of qc_tiles on which a look shows no nucleus."""
PINK_REDNESS = 1.0
"""Mean red above mean blue marks the few DSB images that carry eosin."""


@dataclass(frozen=True)
class Sample:
    """An image at the network's mpp with its nuclei."""

    name: str
    source: str
    kind: Kind
    scale: float
    """Pixels of this image per pixel of the file."""
    image: RGB
    instances: Instances
    """0 for background, else the number of the nucleus."""


def read_sources(data_dir: Path, config: DataConfig) -> Iterator[Sample]:
    """Every labelled image under `data_dir`, at `config.mpp`, in a fixed order.

    Raises
    ------
    FileNotFoundError
        A source is missing.
    """
    yield from _read_dsb(data_dir / "nuclei_dsb2018", config)
    yield from _read_tnbc(data_dir / "nuclei_tnbc", config)
    for stem in BLANK_TILES:
        image = _read_rgb(data_dir / "qc_tiles" / f"{stem}.png")
        yield Sample(stem, "qc_tiles", "blank", 1.0, image, np.zeros(image.shape[:2], np.int32))


def folder_digests(data_dir: Path) -> dict[str, str]:
    """SHA-256 per source over the names and bytes of its files, in order of name."""
    digests = {}
    for source in ("nuclei_dsb2018", "nuclei_tnbc"):
        digest = hashlib.sha256()
        for path in sorted((data_dir / source).rglob("*.png")):
            digest.update(path.relative_to(data_dir).as_posix().encode() + b"\0" + path.read_bytes())
        digests[source] = digest.hexdigest()
    blank = hashlib.sha256()
    for stem in BLANK_TILES:
        blank.update((data_dir / "qc_tiles" / f"{stem}.png").read_bytes())
    return digests | {"qc_tiles": blank.hexdigest()}


def dsb_scale(instances: Instances, config: DataConfig) -> float:
    """The shrinking, one of `config.dsb_scales`, that makes the median nucleus nearest to `config.nucleus_um` wide.

    Width is the diameter of the circle of equal area. Nuclei that the image's edge cuts are left out, if others remain.
    """
    areas = np.bincount(instances.ravel())[1:]
    cut = np.unique(np.concatenate([instances[0], instances[-1], instances[:, 0], instances[:, -1]]))
    whole = np.delete(areas, cut[cut > 0] - 1)
    areas = whole[whole > 0] if (whole > 0).any() else areas[areas > 0]
    diameter_px = 2 * np.sqrt(np.median(areas) / np.pi)
    wanted = config.nucleus_um / config.mpp / diameter_px
    return min(config.dsb_scales, key=lambda scale: abs(np.log(scale / wanted)))


def shrink(image: RGB, instances: Instances, scale: float) -> tuple[RGB, Instances]:
    """Image (area-averaged) and instances (nearest) at `scale` times their size."""
    if scale == 1:
        return image, instances
    height, width = (max(1, round(side * scale)) for side in instances.shape)
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))
    labels = Image.fromarray(instances).resize((width, height), Image.Resampling.NEAREST)
    return small, np.asarray(labels, dtype=np.int32)


def _read_dsb(folder: Path, config: DataConfig) -> Iterator[Sample]:
    for path in _pngs(folder / "images"):
        image = _read_rgb(path)
        instances = np.asarray(Image.open(folder / "labels" / path.name)).astype(np.int32)
        scale = dsb_scale(instances, config)
        pink = image[..., 0].mean() > image[..., 2].mean() * PINK_REDNESS
        yield Sample(path.stem, "nuclei_dsb2018", "he" if pink else "stained", scale, *shrink(image, instances, scale))


def _read_tnbc(folder: Path, config: DataConfig) -> Iterator[Sample]:
    scale = TNBC_MPP / config.mpp
    for path in _pngs(folder / "images"):
        mask = np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 0
        instances = ndimage.label(mask)[0].astype(np.int32)
        yield Sample(path.stem, "nuclei_tnbc", "he", scale, *shrink(_read_rgb(path), instances, scale))


def _pngs(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"no PNG images in {folder.name}: is the data folder complete?")
    return paths


def _read_rgb(path: Path) -> RGB:
    return np.asarray(Image.open(path).convert("RGB"))
