"""Dark discs: the local minima of an image's intensity that may be the middle of a mitotic figure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from workers.geometry import Box

RGB = NDArray[np.uint8]
Grey = NDArray[np.int64]
Points = NDArray[np.float64]
WEIGHT = 4096
"""Whole numbers stand for the smoothing kernel's weights: sums are exact, so a window's edge cannot move a minimum."""


@dataclass(frozen=True)
class DarkDiscs:
    """What counts as a candidate."""

    diameter_px: float
    """Of a disc; none is taken whose middle lies nearer than this to that of a darker one."""
    threshold: float
    """Of white: a middle is at most this bright."""
    smooth_px: float
    """Spread of the Gaussian before minima are sought; the paper is silent, but without it every grain is a minimum."""

    @property
    def margin_px(self) -> int:
        """So many pixels around a window decide which of its own are minima."""
        return _radius(self.smooth_px) + 1


@dataclass(frozen=True, eq=False)
class Minima:
    """Local minima of the smoothed intensity: places in px of the frame, and the intensity there."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    dark: Grey


def window_minima(pixels: RGB, origin: tuple[int, int], core: Box, rule: DarkDiscs) -> Minima:
    """The minima inside `core`, of pixels that reach at least `rule.margin_px` around it.

    A px is a minimum where none of its eight neighbours is darker; of a flat bottom every px counts.

    Parameters
    ----------
    pixels
        uint8 (H, W, 3).
    origin
        (x, y) of their upper left one in the frame.
    """
    smooth = smooth_intensity(pixels, rule.smooth_px)
    white = 3 * 255 * WEIGHT**2 if rule.smooth_px else 3 * 255
    lowest = ndimage.minimum_filter(smooth, 3, mode="nearest") == smooth
    lowest &= smooth <= rule.threshold * white
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
    """(n, 2) centres of those minima that are not nearer than `distance_px` to a darker one that was taken.

    Darkest first, of equals the upper left: the paper's "iterative detection and suppression of all circular areas of
    diameter d centered on local minima".

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section IV.A.
    """
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


def _radius(smooth_px: float) -> int:
    return int(np.ceil(3 * smooth_px))


def _kernel(smooth_px: float) -> NDArray[np.int64]:
    """A Gaussian in whole numbers that sum to `WEIGHT`."""
    steps = np.arange(-_radius(smooth_px), _radius(smooth_px) + 1)
    weights = np.exp(-0.5 * (steps / smooth_px) ** 2)
    whole: NDArray[np.int64] = np.rint(weights * WEIGHT / weights.sum()).astype(np.int64)
    whole[_radius(smooth_px)] += WEIGHT - int(whole.sum())
    return whole
