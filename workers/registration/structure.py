"""Pictures of structure: what looks alike in sections of one tissue, whatever they are stained with.

Nuclei take up red light in hematoxylin-eosin and under every IHC counterstain, DAB takes it up too, and eosin does not:
the density of red is the picture that stains share. Its level still differs from stain to stain and across a slide, so
it is brought to mean 0 and spread 1 about each place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.quality.density import densities, mean

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

RED_PART = 0.7
"""Part of the density that is red's; the rest is the mean of all three, so that a pale counterstain still shows."""
GLASS_PERCENTILE = 5.0
MIN_DENSITY = 0.02
"""Above glass by this is matter; the counterstain of a weak IHC is 0.06 above."""
MATTER_UM = 12.0
LEAST_SPREAD = 0.012
"""Spread of density that counts as flat: noise and JPEG blocks must not become structure."""
GRAIN_PX, WIDE_PX = 2.0, 20.0
"""Structure is larger than its grain (in a consecutive section other nuclei stand there) and stands out from its
neighbourhood; both Gaussians, in px of the level at hand."""
SPECKS, MARGIN, MIN_MARGIN_PX = 0.002, 0.05, 32
MOST = 3.0
"""Structure beyond this is cut: a speck of pigment must not outweigh a lobule."""


@dataclass(frozen=True, eq=False)
class Section:
    """Density above glass of one section at one resolution, and where its tissue is."""

    density: Floats
    tissue: Mask
    mpp: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.density.shape[0], self.density.shape[1]

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        return float(self.tissue.sum()) * (self.mpp / 1000) ** 2


def section_of(rgb: NDArray[np.uint8], mpp: float, tissue: Mask | None = None) -> Section:
    """A section from uint8 (H, W, 3); tissue is what is denser than the picture's palest part, where none is given."""
    channels = densities(rgb)
    density = np.float32(RED_PART) * channels[0] + np.float32(1 - RED_PART) * mean(channels)
    density -= np.float32(np.percentile(density, GLASS_PERCENTILE))
    if tissue is None:
        tissue = ndimage.gaussian_filter(density, MATTER_UM / mpp) > MIN_DENSITY
    return Section(density, np.asarray(tissue, dtype=bool), mpp)


def cropped(section: Section) -> tuple[Section, tuple[int, int]]:
    """The part of a section that holds its tissue, with a margin, and the (x, y) of its corner; specks do not count."""
    spans = []
    for side, axis in zip(section.shape, (1, 0), strict=True):
        held = np.cumsum(section.tissue.sum(axis=axis))
        low, high = np.searchsorted(held, (SPECKS * held[-1], (1 - SPECKS) * held[-1]))
        margin = max(MIN_MARGIN_PX, round(MARGIN * (high - low)))
        spans.append(slice(max(0, int(low) - margin), min(side, int(high) + 1 + margin)))
    rows, columns = spans
    part = Section(section.density[rows, columns], section.tissue[rows, columns], section.mpp)
    return part, (columns.start, rows.start)


def coarser(section: Section, factor: int) -> Section:
    """The section at `factor` times the mpp: means of squares; the last row and column may hold less than a square."""
    if factor == 1:
        return section
    tissue = _means(section.tissue.astype(np.float32), factor) >= 0.5
    return Section(_means(section.density, factor), tissue, section.mpp * factor)


def structure(section: Section) -> Floats:
    """Density without its finest grain, brought to mean 0 and spread 1 about each place, cut at `MOST`."""
    smooth = ndimage.gaussian_filter(section.density, GRAIN_PX)
    centred = smooth - ndimage.gaussian_filter(smooth, WIDE_PX)
    spread = np.sqrt(ndimage.gaussian_filter(centred * centred, WIDE_PX) + np.float32(LEAST_SPREAD**2))
    return np.asarray(np.clip(centred / spread, -MOST, MOST), dtype=np.float32)


def _means(image: Floats, factor: int) -> Floats:
    rows, columns = (-(-side // factor) for side in image.shape)
    padded = np.pad(image, ((0, rows * factor - image.shape[0]), (0, columns * factor - image.shape[1])), mode="edge")
    return np.asarray(padded.reshape(rows, factor, columns, factor).mean(axis=(1, 3), dtype=np.float32))
