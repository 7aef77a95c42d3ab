"""Tiles of slides, as a package's network would be given them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.predictor import Predictor, Statistics
from models.stain import fit_stain
from workers.geometry import Box, round_down
from workers.quality.tissue import TissueMask, find_tissue
from workers.slides.slide import Slide, frame_mpp

Tiles = NDArray[np.uint8]
STAIN_TILES, STAIN_PX = 32, 128


@dataclass(frozen=True, eq=False)
class SlideTiles:
    """Tiles of one slide, uint8 (N, side, side, 3), and the statistics they are computed with."""

    tiles: Tiles
    statistics: Statistics | None


def sample_slide(slide: Slide, manifest: Manifest, side_px: int, count: int, predictor: Predictor) -> SlideTiles:
    """`count` tiles of a slide at even steps through its tissue, on the network's stride grid.

    Parameters
    ----------
    side_px
        Of a tile with its halo.
    predictor
        The network, whose calibrator takes the slide's statistics where it needs them.

    Raises
    ------
    ValueError
        The slide has no tissue, or is coarser than the package takes.
    """
    grid, mpp = manifest.grid, frame_mpp(slide.info, manifest.grid.mpp)
    if slide.info.mpp > grid.mpp_max or not grid.mpp_min <= mpp <= grid.mpp_max:
        raise ValueError(f"a slide of {slide.info.mpp:.4g} um/px is none of {manifest.reference}: give another")
    tissue = find_tissue(slide)
    if not tissue.mask.any():
        raise ValueError("a slide without tissue shows the network nothing: give another")

    def read(number: int, side: int) -> Tiles:
        return np.stack([slide.read(box, mpp) for box in _boxes(tissue, number, side, grid.align_px, mpp)])

    fitted = fit_stain(manifest.input.stain, read(STAIN_TILES, STAIN_PX)) if manifest.input.stain else None
    change: Callable[[Tiles], Tiles] = (lambda tile: tile) if fitted is None else fitted.apply
    tiles = np.stack([change(tile) for tile in read(count, side_px)])
    if manifest.statistics is None:
        return SlideTiles(tiles, None)
    spec = manifest.statistics
    own = read(spec.sample_tiles, spec.sample_px)
    own = own[np.arange(spec.sample_tiles) % len(own)]
    return SlideTiles(tiles, predictor.calibrate(np.stack([change(tile) for tile in own])))


def _boxes(tissue: TissueMask, count: int, side_px: int, align_px: int, mpp: float) -> list[Box]:
    """Squares of `side_px` around tissue at even steps in reading order, in px of the frame at `mpp`."""
    rows, columns = np.nonzero(tissue.mask)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    scale = tissue.mpp / mpp
    centres = [((columns[i] + 0.5) * scale, (rows[i] + 0.5) * scale) for i in chosen]
    corners = [tuple(round_down(round(value - side_px / 2), align_px) for value in centre) for centre in centres]
    return [Box(x, y, side_px, side_px) for x, y in corners]
