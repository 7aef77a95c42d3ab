"""Which stain a slide carries, guessed from the hues of its tissue in optical-density space.

Hematoxylin absorbs red and green alike, eosin green far above all, DAB blue above green above red. The guess looks at
how much of the tissue's density lies near each, so that a mostly negative IHC, blue with a few brown nuclei, still
counts.

References
----------
Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, Anal Quant Cytol Histol, 2001
(PMID 11531144).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workers.quality.density import densities

Stain = Literal["he", "ihc-dab", "other"]

MIN_DENSITY = 0.12
MIN_PIXELS = 500


@dataclass(frozen=True)
class StainGuess:
    """A guess, how sure it is, and what it rests on."""

    stain: Stain
    confidence: float
    hematoxylin: float
    eosin: float
    dab: float
    """Parts of the stained pixels whose hue is that of each stain."""
    other: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def guess_stain(pixels: NDArray[np.uint8]) -> StainGuess:
    """The stain of tissue pixels, uint8 (N, 3)."""
    density = np.stack(densities(pixels), axis=-1)
    stained = density[density.mean(axis=1) > MIN_DENSITY]
    if len(stained) < MIN_PIXELS:
        return StainGuess("other", 0.0, 0.0, 0.0, 0.0, 0.0)
    red, green, blue = (stained / stained.sum(axis=1, keepdims=True)).T
    dab = (blue > 0.36) & (blue > green) & (red < 0.33)
    eosin = ~dab & (green > red + 0.12) & (green > blue)
    hematoxylin = ~dab & ~eosin & (red > blue - 0.02) & (np.abs(red - green) <= 0.22)
    parts = [float(part.mean()) for part in (hematoxylin, eosin, dab)]
    return _decide(*parts)


def _decide(hematoxylin: float, eosin: float, dab: float) -> StainGuess:
    """Eosin speaks for H&E; brown, or blue without any pink, for DAB with hematoxylin."""
    other = max(0.0, 1 - hematoxylin - eosin - dab)
    he = eosin * (1 - min(1.0, 4 * dab))
    # What looks brown beside much pink is a shadow at an edge.
    brown = min(1.0, 3 * dab) * (1 - min(1.0, 2 * eosin))
    ihc = brown + max(0.0, hematoxylin - 0.5) * (1 - min(1.0, 8 * eosin))
    if other > 0.6 or max(he, ihc) < 0.02:
        return StainGuess("other", min(1.0, other), hematoxylin, eosin, dab, other)
    share = max(he, ihc) / (he + ihc + 0.05)
    return StainGuess("he" if he >= ihc else "ihc-dab", share, hematoxylin, eosin, dab, other)
