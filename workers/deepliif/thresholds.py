"""DeepLIIF's thresholds: what may be chosen, and those it finds for itself."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Resolution = Literal["10x", "20x", "40x"]
Default = Literal["default"]
Counts = NDArray[np.int64]

LARGE_NOISE_PX: dict[Resolution, int] = {"10x": 1000, "20x": 4000, "40x": 16000}
SIDE_PX: dict[Resolution, tuple[int, int, int]] = {"10x": (2, 2, 3), "20x": (3, 4, 6), "40x": (4, 7, 10)}
"""Lowest, usual and highest square root of the default size threshold."""
DENSITY_POINTS = 500


@dataclass(frozen=True)
class Thresholds:
    """What decides which pixels are cells, which cells count, and which of them are positive."""

    seg: int = 120
    """Red + blue of a classified pixel is above this."""
    green: int = 80
    """Green of a classified pixel is at most this."""
    resolution: Resolution = "40x"
    noise_px: int = 4
    """Components of this size and smaller are noise."""
    large_noise_px: int | Default | None = None
    """Components of this size and larger are noise."""
    size_px: int | Default = "default"
    """Cells of this size and smaller do not count."""
    size_upper_px: int | None = None
    """Cells of this size and larger do not count."""
    marker: int | Default | None = None
    """A cell whose marker is above this is positive; None: the marker decides nothing."""
    od_lower: int | None = None
    """A cell of lower optical density (in 1/100) is negative."""
    od_upper: int | None = None
    """A cell of higher optical density (in 1/100) is negative."""


def resolution_of(tile_px: int) -> Resolution:
    """The class of resolution that a tile's side stands for."""
    if tile_px > 384:
        return "40x"
    return "20x" if tile_px > 192 else "10x"


def is_no_noise(sizes_px: Counts, thresholds: Thresholds) -> NDArray[np.bool_]:
    """Which components are large enough, and small enough, to be looked at."""
    upper = thresholds.large_noise_px
    if upper == "default":
        upper = LARGE_NOISE_PX[thresholds.resolution]
    kept = sizes_px > thresholds.noise_px
    return kept if upper is None else kept & (sizes_px < upper)


def default_size_threshold(sizes_px: Counts, resolution: Resolution, counts: Counts | None = None) -> int:
    """The size that parts debris from cells: the first dip of the density of the sizes' square roots, within limits.

    Parameters
    ----------
    sizes_px
        Sizes of the components that are no noise.
    counts
        How many components have each of the sizes; one where it is left out.

    References
    ----------
    Parzen 1962 (density by kernels), doi:10.1214/aoms/1177704472.
    """
    if (len(sizes_px) if counts is None else int(counts.sum())) <= 1:
        return 0
    density, step = size_density(sizes_px, counts)
    middle = density[1:-1]
    dips = np.flatnonzero((middle < density[:-2]) & (middle < density[2:]))
    side = float(dips[0]) * step if len(dips) else 0.0
    lowest, usual, highest = SIDE_PX[resolution]
    if side < lowest:
        side = lowest
    elif side > highest:
        side = usual
    return round(side * side)


def size_density(sizes_px: Counts, counts: Counts | None = None) -> tuple[NDArray[np.float32], float]:
    """Density of the square roots of the sizes at `DENSITY_POINTS` places from 0 on, and the step between places.

    Parameters
    ----------
    counts
        With it, each of `sizes_px` is there once, rising, and so many components have it.
    """
    # Sizes are whole numbers: each is worked on once, however many cells have it.
    sizes = sizes_px
    if counts is None:
        sizes, counts = np.unique(sizes_px, return_counts=True)
    sides = np.sqrt(sizes.astype(np.float64))
    step = (float(sides[-1]) + 1) / DENSITY_POINTS
    places = np.arange(DENSITY_POINTS) * step
    density = np.zeros(DENSITY_POINTS)
    for part in np.array_split(np.arange(len(sides)), len(sides) // 1000 + 1):
        density += np.exp(-0.5 * (places[:, None] - sides[part]) ** 2) @ counts[part]
    density /= np.sqrt(2 * np.pi) * counts.sum()
    # float32 is part of the rule: where the density is flat to seven digits there is no dip.
    return density.astype(np.float32), step


def default_marker_threshold(histogram: Counts) -> int:
    """Nine tenths of the way between the darkest and the brightest marker, but for one pixel in a thousand each.

    Parameters
    ----------
    histogram
        int64 (256,): pixels of each value; those of value 0 are left out. 0 where no other is there.
    """
    counts = histogram.copy()
    counts[0] = 0
    if not counts.sum():
        return 0
    low, high = (round(_percentile(counts, share)) for share in (0.1, 99.9))
    return round(0.9 * (high - low)) + low


def _percentile(histogram: Counts, percent: float) -> float:
    """The percentile of values given by their counts, linear between neighbours."""
    upto = np.cumsum(histogram)
    place = percent / 100 * (int(upto[-1]) - 1)
    below = int(place)
    low, high = (int(np.searchsorted(upto, rank, side="right")) for rank in (below, min(below + 1, int(upto[-1]) - 1)))
    return low + (place - below) * (high - low)
