"""Where tissue is: a mask at low resolution that pen, dust, glass and black padding do not fool.

Optical density separates matter from glass; hue in optical-density space separates stains from ink. Hematoxylin, eosin
and DAB all absorb green at least as much as red; blue and green ink absorb red most, black ink absorbs everything,
red ink absorbs green and blue alike and very much. Absolute floors, no threshold fitted to the slide: a blank slide
has no tissue, however its histogram looks.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_holes, remove_small_objects

from workers.geometry import Box, Frame
from workers.slides import Slide, frame_size

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

MASK_MPP = 8.0
MIN_SIDE_PX = 256
"""A small region gets a finer mask, so that it has at least this many pixels on its longer side."""
MAX_SIDE_PX = 8192
STRIP_ROWS = 512
SURE_DENSITY = 0.10
"""Mean optical density that is matter for certain; glass of real scanners stays below 0.06."""
PALE_DENSITY, PALE_CHROMA = 0.06, 0.05
"""Pale but coloured is matter too: glass is grey."""
FAINT_DENSITY = 0.035
"""Matter where it touches sure matter: fat, pale stroma."""
FAINT_CHROMA = 0.025
BLACK_VALUE = 40
MIN_TISSUE_UM2 = 5_000.0
MAX_HOLE_UM2 = 20_000.0


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Tissue and ink at low resolution; the origin is level 0's."""

    mask: Mask
    pen: Mask
    mpp: float
    level0_mpp: float

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        return float(self.mask.sum()) * (self.mpp / 1000) ** 2


def find_tissue(slide: Slide) -> TissueMask:
    """The tissue of a slide; memory depends on the mask, which has at most `MAX_SIDE_PX` px on a side."""
    info = slide.info
    longest_um = max(info.width_px, info.height_px) * info.mpp
    mpp = max(min(MASK_MPP, longest_um / MIN_SIDE_PX), info.mpp, longest_um / MAX_SIDE_PX)
    width, height = frame_size(info, mpp)
    density = np.zeros((height, width), dtype=np.float32)
    chroma = np.zeros_like(density)
    pen = np.zeros(density.shape, dtype=bool)
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, height))
        rgb = slide.read(Box(0, top, width, rows.stop - top), mpp)
        density[rows], chroma[rows], pen[rows] = _look_at(rgb)
    pen = _spread_ink(pen, mpp)
    return TissueMask(_clean(_matter(density, chroma) & ~pen, mpp), pen, mpp, info.mpp)


def _look_at(rgb: NDArray[np.uint8]) -> tuple[Floats, Floats, Mask]:
    """Mean optical density, its spread over the channels, and which pixels are ink or padding."""
    table = -np.log10((np.arange(256, dtype=np.float32) + 1) / 256)
    red, green, blue = (table[rgb[..., channel]] for channel in range(3))
    density = (red + green + blue) / 3
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    black = (rgb.max(axis=2) < BLACK_VALUE) | ((density > 0.7) & (chroma < 0.15))
    coloured = density > 0.12
    bluish = coloured & (red > 1.25 * green) & (red > 1.6 * blue) & (chroma > 0.15)
    # The rim of a stroke is pale; no stain absorbs green least, so that faint green is ink already.
    greenish = (density > 0.03) & (red > 1.3 * green) & (blue > 1.02 * green) & (chroma > 0.03)
    reddish = coloured & (green > 4 * red) & (blue > 0.75 * green) & (chroma > 0.5) & (blue < 1.3 * green)
    return density, chroma, black | bluish | greenish | reddish


def _spread_ink(pen: Mask, mpp: float) -> Mask:
    """Ink as a person sees it: specks of a few pixels are nuclei or dirt, strokes have rims."""
    least = max(9, round(10_000 / mpp**2))
    strokes = remove_small_objects(pen, max_size=least - 1)
    return np.asarray(ndimage.binary_dilation(strokes, iterations=2) if strokes.any() else strokes)


def _matter(density: Floats, chroma: Floats) -> Mask:
    smooth_density = ndimage.uniform_filter(density, 3)
    smooth_chroma = ndimage.uniform_filter(chroma, 3)
    sure = (smooth_density > SURE_DENSITY) & (smooth_chroma > FAINT_CHROMA)
    sure |= (smooth_density > PALE_DENSITY) & (smooth_chroma > PALE_CHROMA)
    faint = (smooth_density > FAINT_DENSITY) & (smooth_chroma > FAINT_CHROMA)
    labels, _ = ndimage.label(faint)
    touched = np.unique(labels[sure])
    keep = np.zeros(labels.max() + 1, dtype=bool)
    keep[touched] = True
    keep[0] = False
    return np.asarray(keep[labels])


def _clean(mask: Mask, mpp: float) -> Mask:
    holes = max(1, round(MAX_HOLE_UM2 / mpp**2))
    specks = max(1, round(MIN_TISSUE_UM2 / mpp**2))
    glass, _ = ndimage.label(~mask)
    border = np.unique(np.concatenate([glass[0], glass[-1], glass[:, 0], glass[:, -1]]))
    # A corner of glass is no hole.
    open_glass = np.isin(glass, border[border > 0])
    filled = remove_small_holes(mask, max_size=holes) & ~open_glass
    return np.asarray(remove_small_objects(filled, max_size=specks))


def tissue_cells(tissue: TissueMask, frame: Frame, cell_px: int, shape: tuple[int, int]) -> Mask:
    """Which cells of a grid of `cell_px` frame px hold or touch a tissue pixel, bool `shape` (rows, columns)."""
    ratio = cell_px * frame.mpp / tissue.mpp
    rows = _spans(shape[0], ratio, tissue.mask.shape[0])
    columns = _spans(shape[1], ratio, tissue.mask.shape[1])
    # An integral image answers "any tissue in this box?" for every cell at once.
    sums = np.zeros((tissue.mask.shape[0] + 1, tissue.mask.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = tissue.mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    top, bottom = rows
    left, right = columns
    inside = sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)] - sums[np.ix_(bottom, left)]
    return np.asarray(inside + sums[np.ix_(top, left)] > 0)


def _spans(count: int, ratio: float, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and one past the last mask pixel that each cell touches."""
    edges = np.arange(count + 1) * ratio
    first = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    last = np.ceil(edges[1:] - 1e-9).astype(np.int64)
    return np.clip(first, 0, limit), np.clip(np.maximum(last, first + 1), 0, limit)


