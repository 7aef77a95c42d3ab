"""Tiles of slides in one stain: a grid of squares, kept where they lie on tissue."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.phantom.spec import Stain
from training.sets.patch_set import PatchSet, cut_patches
from training.virtual_ihc.config import HE, KI67, DataConfig
from workers.quality.tissue import TissueMask, find_tissue
from workers.slides.opening import open_slide
from workers.slides.slide import Slide, SlideInfo, frame_size

Corners = NDArray[np.int64]
STAINS: tuple[Stain, Stain] = (HE, KI67)


@dataclass(frozen=True)
class Source:
    """A slide to cut."""

    name: str
    path: Path
    stain: Stain
    synthetic: bool
    mpp: float | None = None
    """um per level-0 px of a file that states none."""


def cut_source(source: Source, data: DataConfig, seed: int, like: PatchSet | None = None) -> PatchSet:
    """The tiles of a slide, in reading order; their label is the stain.

    Parameters
    ----------
    like
        Tiles of the same tissue in another stain: the same places are cut, whatever tissue this slide shows there.

    Raises
    ------
    RefusedInputError
        The slide cannot be read.
    """
    slide = open_slide(source.path, source.mpp)
    try:
        centres_px = _centres_px(slide, data, seed) if like is None else np.stack([like.x_px, like.y_px], axis=1)
        pixels = cut_patches(slide, centres_px, data.tile_px, data.mpp)
    finally:
        slide.close()
    count = len(centres_px)
    return PatchSet(
        pixels=pixels,
        labels=np.full(count, STAINS.index(source.stain), np.int64),
        classes=STAINS,
        images=np.full(count, source.name),
        cases=np.full(count, source.name),
        x_px=centres_px[:, 0],
        y_px=centres_px[:, 1],
        synthetic=np.full(count, source.synthetic),
        mpp=data.mpp,
    )


def tile_corners(info: SlideInfo, tissue: TissueMask, data: DataConfig) -> Corners:
    """(n, 2) upper left corners (x, y) in px at the tiles' mpp of the tiles that hold enough tissue.

    References
    ----------
    Liu et al. 2020: 288 px at 20x in steps of 144.
    """
    width_px, height_px = frame_size(info, data.mpp)
    columns = range(0, width_px - data.tile_px + 1, data.step_px)
    rows = range(0, height_px - data.tile_px + 1, data.step_px)
    corners = np.array([(x, y) for y in rows for x in columns], np.int64).reshape(-1, 2)
    scale = data.mpp / tissue.mpp
    parts = [_tissue_part(tissue, x * scale, y * scale, data.tile_px * scale) for x, y in corners.tolist()]
    found: Corners = corners[np.array(parts) >= data.tissue]
    return found


def _centres_px(slide: Slide, data: DataConfig, seed: int) -> NDArray[np.float64]:
    """Centres in level-0 px of the tiles of a slide, `per_slide` of them at most."""
    corners = tile_corners(slide.info, find_tissue(slide), data)
    if 0 < data.per_slide < len(corners):
        chosen = np.random.default_rng(seed).choice(len(corners), data.per_slide, replace=False)
        corners = corners[np.sort(chosen)]
    return np.asarray((corners + data.tile_px / 2) * (data.mpp / slide.info.mpp), np.float64)


def _tissue_part(tissue: TissueMask, x: float, y: float, side: float) -> float:
    """The part of a square, in px of the mask, that is tissue."""
    rows = slice(math.floor(y), math.ceil(y + side))
    part = tissue.mask[rows, math.floor(x) : math.ceil(x + side)]
    return float(part.mean()) if part.size else 0.0
