"""The candidate detector: dark discs that do not touch each other's centres."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from training.mitosis.config import CandidateConfig
from workers.geometry import Box
from workers.slides.slide import RGB, Slide, frame_size

Grey = NDArray[np.int64]
Points = NDArray[np.float64]
WINDOW_PX = 2048
WEIGHT = 4096
"""Whole numbers stand for the smoothing kernel's weights: sums are exact, so a window's edge cannot move a minimum."""


@dataclass(frozen=True, eq=False)
class Minima:
    """Local minima of the smoothed intensity: places in px of the frame, and the intensity there."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    dark: Grey


def find_candidates(slide: Slide, mpp: float, config: CandidateConfig, window_px: int = WINDOW_PX) -> Points:
    """(n, 2) centres of the candidates in px of the slide's frame at `mpp`, darkest first.

    The mean of red, green and blue is smoothed by a Gaussian of `smooth_px` (the paper is silent; without it every dark
    grain of chromatin is a minimum), and its local minima up to `threshold` of white are taken, darkest first, of
    equals the upper left: each one nearer than `diameter_px` to one taken before is suppressed. That is the paper's
    "iterative detection and suppression of all circular areas of diameter d" until what is below t is exhausted.

    The slide is read in windows; the result is that of the whole image at once. Memory is a window and the minima.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section IV.A.
    """
    width, height = frame_size(slide.info, mpp)
    margin, parts = _radius(config.smooth_px) + 1, []
    for core in _windows(width, height, window_px):
        box = Box(core.x - margin, core.y - margin, core.width + 2 * margin, core.height + 2 * margin)
        parts.append(window_minima(slide.read(box, mpp), (box.x, box.y), core, config))
    found = Minima(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "dark")))
    return take_darkest(found, config.diameter_px)


def window_minima(pixels: RGB, origin: tuple[int, int], core: Box, config: CandidateConfig) -> Minima:
    """The minima inside `core`, of pixels that reach at least the kernel's radius and one more px around it.

    A px is a minimum where none of its eight neighbours is darker; of a flat bottom every px counts, and suppression
    takes the upper left one first.
    """
    smooth = smooth_intensity(pixels, config.smooth_px)
    white = 3 * 255 * WEIGHT**2 if config.smooth_px else 3 * 255
    lowest = ndimage.minimum_filter(smooth, 3, mode="nearest") == smooth
    lowest &= smooth <= config.threshold * white
    rows, columns = np.nonzero(lowest)
    x, y = columns + origin[0], rows + origin[1]
    inside = (x >= core.x) & (x < core.right) & (y >= core.y) & (y < core.bottom)
    return Minima(x[inside], y[inside], smooth[rows[inside], columns[inside]])


def smooth_intensity(pixels: RGB, smooth_px: float) -> Grey:
    """The sum of red, green and blue, smoothed, in whole numbers: int64 (H, W)."""
    total: Grey = pixels.astype(np.int64).sum(axis=2)
    if smooth_px == 0:
        return total
    kernel = _kernel(smooth_px)
    down: Grey = ndimage.correlate1d(total, kernel, axis=0, mode="nearest")
    smooth: Grey = ndimage.correlate1d(down, kernel, axis=1, mode="nearest")
    return smooth


def take_darkest(minima: Minima, distance_px: float) -> Points:
    """(n, 2) places of those minima that are not nearer than `distance_px` to a darker one that was taken."""
    order = np.lexsort((minima.x, minima.y, minima.dark))
    places = np.stack([minima.x, minima.y], axis=1)[order].astype(np.float64)
    if not len(places):
        return places
    tree, free = cKDTree(places), np.ones(len(places), dtype=bool)
    taken = []
    for index in range(len(places)):
        if free[index]:
            taken.append(index)
            near = np.array(tree.query_ball_point(places[index], distance_px), dtype=np.int64)
            gaps = places[near] - places[index]
            free[near[(gaps**2).sum(axis=1) < distance_px**2]] = False
    # The middle of a px lies half a px from its corner.
    return places[taken] + 0.5


def _windows(width: int, height: int, side: int) -> Iterator[Box]:
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Box(x, y, min(side, width - x), min(side, height - y))


def _radius(smooth_px: float) -> int:
    return int(np.ceil(3 * smooth_px))


def _kernel(smooth_px: float) -> NDArray[np.int64]:
    """A Gaussian in whole numbers that sum to `WEIGHT`."""
    steps = np.arange(-_radius(smooth_px), _radius(smooth_px) + 1)
    weights = np.exp(-0.5 * (steps / smooth_px) ** 2)
    whole: NDArray[np.int64] = np.rint(weights * WEIGHT / weights.sum()).astype(np.int64)
    whole[_radius(smooth_px)] += WEIGHT - int(whole.sum())
    return whole
