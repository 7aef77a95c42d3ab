"""Drawn DAB precipitate on a slide: specks of sharp brown grains that belong to no nucleus.

Phantoms have no artefacts in PHH3, and a network that is to tell artefacts needs some. Specks are drawn when pixels are
read, on top of whatever slide lies below; they are a stand-in for real precipitate and nothing more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.colour import HED_VECTORS, from_density, optical_density
from workers.geometry import Box
from workers.slides.slide import RGB, Slide, SlideInfo

Floats = NDArray[np.float64]
SOFT_UM = 0.3
"""A grain's edge is this wide: far sharper than a nucleus."""
REACH_UM = 8.0
"""No grain reaches farther from its speck's centre."""


@dataclass(frozen=True, eq=False)
class Specks:
    """Grains, each a disc; those of one speck have its number."""

    centres_um: Floats
    """(specks, 2)."""
    speck: NDArray[np.int64]
    x_um: Floats
    y_um: Floats
    radius_um: Floats
    density: Floats
    """(grains, 3): of red, green and blue, natural logarithm."""


@dataclass(frozen=True, eq=False)
class SoiledSlide:
    """A slide with specks on it; read as any other."""

    slide: Slide
    specks: Specks

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide below."""
        return self.slide.info

    def read(self, box: Box, mpp: float) -> RGB:
        """The pixels of `box`, through the specks."""
        pixels = self.slide.read(box, mpp)
        near = _grains_in(self.specks, box, mpp)
        if not len(near):
            return pixels
        brown = np.zeros(pixels.shape, np.float32)
        for grain in near.tolist():
            _draw(brown, self.specks, grain, box, mpp)
        touched = brown.any(axis=2)
        pixels = pixels.copy()
        pixels[touched] = from_density(optical_density(pixels[touched]) + brown[touched])
        return pixels

    def close(self) -> None:
        """Release the file below."""
        self.slide.close()


def draw_specks(width_um: float, height_um: float, per_mm2: float, seed: int) -> Specks:
    """Specks at random places: from one round grain to a dozen of them in a clump, from brown to nearly black.

    Each has some grey besides DAB, so that colour alone does not give specks away.
    """
    generator = np.random.default_rng([seed, 5001])
    count = int(generator.poisson(per_mm2 * width_um * height_um / 1e6))
    centres = generator.random((count, 2)) * (width_um, height_um)
    grains = generator.integers(1, 13, count)
    wide = generator.uniform(0.6, 3.0, count)
    size = generator.uniform(0.5, 2.2, count)
    speck = np.repeat(np.arange(count), grains)
    offsets = generator.normal(size=(len(speck), 2)) * wide[speck, None]
    limit = REACH_UM - 3.0
    x, y = (centres[speck] + np.clip(offsets, -limit, limit)).T
    radius = np.clip(size[speck] * generator.uniform(0.5, 1.3, len(speck)), 0.4, 2.8)
    density = generator.uniform(0.8, 3.0, count)[speck] * generator.uniform(0.7, 1.3, len(speck))
    grey = generator.uniform(0.0, 0.6, count)[speck]
    return Specks(centres, speck, x, y, radius, density[:, None] * (HED_VECTORS[2] + grey[:, None]))


def _grains_in(specks: Specks, box: Box, mpp: float) -> NDArray[np.int64]:
    margin = specks.radius_um + SOFT_UM
    inside = (specks.x_um + margin > box.x * mpp) & (specks.x_um - margin < box.right * mpp)
    inside &= (specks.y_um + margin > box.y * mpp) & (specks.y_um - margin < box.bottom * mpp)
    return np.flatnonzero(inside)


def _draw(brown: NDArray[np.float32], specks: Specks, grain: int, box: Box, mpp: float) -> None:
    """The darker of a grain and what is there; in a few px around it."""
    x, y = specks.x_um[grain] / mpp - box.x, specks.y_um[grain] / mpp - box.y
    reach = (specks.radius_um[grain] + SOFT_UM) / mpp
    top, left = max(0, int(np.floor(y - reach))), max(0, int(np.floor(x - reach)))
    bottom, right = min(brown.shape[0], int(np.ceil(y + reach)) + 1), min(brown.shape[1], int(np.ceil(x + reach)) + 1)
    rows, columns = np.mgrid[top:bottom, left:right]
    gaps = np.hypot(columns + 0.5 - x, rows + 0.5 - y) * mpp
    cover = np.clip((specks.radius_um[grain] - gaps) / SOFT_UM + 0.5, 0, 1)[..., None] * specks.density[grain]
    part = brown[top:bottom, left:right]
    np.maximum(part, cover.astype(np.float32), out=part)
