"""Where tissue is: a mask at low resolution that pen, dust, glass and black padding do not fool.

Optical density separates matter from glass, and colour separates stains from dust, coverslip rims and bubbles, which
are grey. Absolute floors, no threshold fitted to the slide: a blank slide has no tissue, however its histogram looks.
Only faint tissue, weaker than the glass of some scanners, is compared with this slide's own glass, and must besides
have the texture that glass lacks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.geometry import Box, Frame
from workers.quality.density import Channels, Floats, densities, mean, spread
from workers.quality.ink import find_ink
from workers.quality.masks import STRIP_ROWS, Mask, strips, without_holes, without_specks
from workers.slides import Slide, frame_size
from workers.slides.slide import SlideInfo

MASK_MPP = 8.0
MIN_SIDE_PX = 256
"""A small region gets a finer mask, so that it has at least this many pixels on its longer side."""
MAX_SIDE_PX = 2048
SURE_DENSITY = 0.10
"""Mean optical density that is matter for certain; glass of real scanners stays below 0.06."""
PALE_DENSITY, PALE_CHROMA = 0.06, 0.05
"""Pale but coloured is matter too: glass is grey."""
FAINT_DENSITY = 0.035
"""Matter where it touches sure matter: fat, pale stroma."""
FAINT_CHROMA = 0.025
WEAK_DENSITY, WEAK_CHROMA, WEAK_TEXTURE = 0.008, 0.004, 0.009
"""Above this slide's glass: weak IHC with a light counterstain."""
GREYEST = 0.2
"""Chroma per density of weak matter; the black rim of a coverslip has less."""
WIDE_PX = 3.0
MIN_WEAK_PX, MIN_WEAK_UM2, MIN_WEAK_PART = 400, 100_000.0, 0.02
"""Weak pieces have at least this many mask pixels, and this area or this part of a small region."""
EDGE_PX = 4
"""Nearer than this to matter, weak matter may be the blur of its edge."""
GLASS_DENSITY, GLASS_STEP = 0.08, 0.012
"""Glass is at most this dense and changes at most this much from a pixel to the next."""
MIN_GLASS = 0.005
"""Part of the pixels that must be glass for its colour to be known."""
GLASS_ROWS = 1024
Density = tuple[float, float, float]
NO_TINT: Density = (0.0, 0.0, 0.0)
GREY_SPREAD = 0.015
"""Densities of grey glass differ by this much from channel to channel; more is a tint."""
MIN_TINTED_UM = 1000.0
"""Shorter regions may have no glass: their palest part is pale tissue, and its colour no tint."""
MIN_TISSUE_UM2, MIN_TISSUE_PART = 5_000.0, 0.01
"""Smaller pieces are specks; on a small region, pieces smaller than this part of it."""
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
    mpp = mask_mpp(slide.info)
    rgb = _read(slide, mpp)
    pen = find_ink(rgb, mpp)
    return TissueMask(_clean(_matter(rgb, mpp) & ~pen, mpp), pen, mpp, slide.info.mpp)


def mask_mpp(info: SlideInfo) -> float:
    """Resolution of a slide's mask: 8 um/px, finer for small regions, coarser for huge slides, never above level 0."""
    longest_um = max(info.width_px, info.height_px) * info.mpp
    return max(min(MASK_MPP, longest_um / MIN_SIDE_PX), info.mpp, longest_um / MAX_SIDE_PX)


def _read(slide: Slide, mpp: float) -> NDArray[np.uint8]:
    width, height = frame_size(slide.info, mpp)
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        rgb[top:bottom] = slide.read(Box(0, top, width, bottom - top), mpp)
    return rgb


def _matter(rgb: NDArray[np.uint8], mpp: float) -> Mask:
    """Sure matter, faint matter that touches it, and large areas of weak matter."""
    glass = _glass(rgb)
    tint = _tint(glass) if max(rgb.shape[:2]) * mpp >= MIN_TINTED_UM else NO_TINT
    sure, faint, weak = (np.zeros(rgb.shape[:2], dtype=bool) for _ in range(3))
    for rows, seen, inner in strips(rgb.shape[0]):
        channels = densities(rgb[seen])
        sure[rows], faint[rows] = (part[inner] for part in _absolute(channels, tint))
        if glass is not None:
            weak[rows] = _above_glass(channels, glass)[inner]
    labels, count = ndimage.label(faint)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(labels[sure])] = True
    keep[0] = False
    matter = keep[labels]
    # Beside weak matter a denser speck is a part of it, and it is not the speck's edge.
    large = without_specks(matter, _least_px(matter.size, mpp, MIN_WEAK_PART))
    return np.asarray(matter | _believed(weak, large, mpp))


def _tint(glass: Density | None) -> Density:
    """How much denser glass is in each channel than in its brightest, beyond what is grey; none where unknown."""
    if glass is None:
        return NO_TINT
    red, green, blue = (max(0.0, level - min(glass) - GREY_SPREAD) for level in glass)
    return red, green, blue


def _absolute(channels: Channels, tint: Density) -> tuple[Mask, Mask]:
    """Matter by density, and colour beyond the glass's tint: sure, and faint."""
    density = ndimage.uniform_filter(mean(channels), 3)
    red, green, blue = (channel - np.float32(level) for channel, level in zip(channels, tint, strict=True))
    chroma = ndimage.uniform_filter(spread((red, green, blue)), 3)
    sure = (density > SURE_DENSITY) & (chroma > FAINT_CHROMA)
    sure |= (density > PALE_DENSITY) & (chroma > PALE_CHROMA)
    return sure, (density > FAINT_DENSITY) & (chroma > FAINT_CHROMA)


def _glass(rgb: NDArray[np.uint8]) -> Density | None:
    """Density of red, green, blue of this slide's smooth bright pixels; None where too few are seen.

    Pure white is no glass: it is where nothing was scanned.
    """
    rows = rgb[:: max(1, rgb.shape[0] // GLASS_ROWS)]
    channels = densities(rows)
    density = mean(channels)
    steps = np.abs(np.diff(density, axis=1, append=density[:, -1:])) < GLASS_STEP
    flat = steps & np.roll(steps, 1, axis=1) & (density < GLASS_DENSITY) & (rows.min(axis=2) < 255)
    if flat.mean() < MIN_GLASS:
        return None
    # The brighter half: the other may be the very tissue that is looked for.
    flat &= density <= np.median(density[flat])
    red, green, blue = (float(np.median(channel[flat])) for channel in channels)
    return red, green, blue


def _above_glass(channels: Channels, glass: Density) -> Mask:
    """Denser and more coloured than glass, with texture that is not that of a black line."""
    red, green, blue = (channel - np.float32(level) for channel, level in zip(channels, glass, strict=True))
    fine = _blur(mean((red, green, blue)), 0.7)
    wide = _blur(fine, WIDE_PX)
    texture = np.sqrt(np.maximum(_blur(fine * fine, WIDE_PX) - wide * wide, 0))
    colour = spread((_blur(red, WIDE_PX), _blur(green, WIDE_PX), _blur(blue, WIDE_PX)))
    place = (texture > WEAK_TEXTURE) & (wide > WEAK_DENSITY) & (colour > np.maximum(WEAK_CHROMA, GREYEST * wide))
    return np.asarray(place & (ndimage.uniform_filter(fine, 3) > WEAK_DENSITY))


def _blur(image: Floats, sigma: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter(image, sigma))


def _believed(weak: Mask, matter: Mask, mpp: float) -> Mask:
    """Weak pieces away from matter that are much larger than dirt; nearer ones are mostly the blur of its edges."""
    away = weak & ~ndimage.maximum_filter(matter, 2 * EDGE_PX + 1)
    least = max(MIN_WEAK_PX, round(min(MIN_WEAK_UM2 / mpp**2, MIN_WEAK_PART * weak.size)))
    pieces = without_specks(away, least)
    return np.asarray(weak & ndimage.maximum_filter(pieces, 2 * EDGE_PX + 1)) if pieces.any() else pieces


def _clean(mask: Mask, mpp: float) -> Mask:
    filled = without_holes(mask, max(1, round(MAX_HOLE_UM2 / mpp**2)))
    return without_specks(filled, _least_px(mask.size, mpp))


def _least_px(slide_px: int, mpp: float, part: float = MIN_TISSUE_PART) -> int:
    """Pixels that a piece of tissue has at least, of a slide of so many."""
    return 1 + round(min(MIN_TISSUE_UM2 / mpp**2, part * slide_px))


def tissue_cells(tissue: TissueMask, frame: Frame, cell_px: int, shape: tuple[int, int]) -> Mask:
    """Which cells of a grid of `cell_px` frame px hold or touch a tissue pixel, bool `shape` (rows, columns)."""
    ratio = cell_px * frame.mpp / tissue.mpp
    rows = _spans(shape[0], ratio, tissue.mask.shape[0])
    columns = _spans(shape[1], ratio, tissue.mask.shape[1])
    # An integral image answers "any tissue in this box?" for every cell at once.
    sums = np.zeros((tissue.mask.shape[0] + 1, tissue.mask.shape[1] + 1), dtype=np.int32)
    np.cumsum(tissue.mask, axis=0, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
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
