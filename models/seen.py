"""Whether a slide is stained as the images were that a model was trained on.

A few robust numbers say how a sample of tissue is stained: how dark it is in each colour, which hues its hematoxylin
and eosin have and how strong they are. Training writes the range of each over its images into the manifest; a slide
outside of one gets a warning and is still analysed. What a model does beyond what it saw, nobody measured.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from models.colour import optical_density
from models.stain import MIN_PIXELS, TISSUE_DENSITY, find_stains
from models.stain_spec import ColourStatistic, SeenRange, StainSeen

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

STATISTICS: tuple[ColourStatistic, ...] = get_args(ColourStatistic)
STRENGTH_PERCENT = 95.0
"""A stain's strength is the amount that so many in a hundred tissue pixels do not exceed."""
LOW_PERCENT, HIGH_PERCENT = 1.0, 99.0
WIDER = 0.25
"""Part of a range that is added at each end: the next image of the same laboratory is a little beyond the last."""
LEAST_DEGREES, LEAST_PART = 4.0, 0.15
"""At least so much is added: to a hue, and to any other number as a part of its middle."""
MAX_PIXELS = 400_000
MIN_IMAGES = 5

_WORDS: dict[str, tuple[str, str, str]] = {
    "density_red": ("tissue takes", "less red light", "more red light"),
    "density_green": ("tissue takes", "less green light", "more green light"),
    "density_blue": ("tissue takes", "less blue light", "more blue light"),
    "hematoxylin_hue": ("hematoxylin is", "bluer", "redder"),
    "eosin_hue": ("eosin is", "bluer", "more orange"),
    "hematoxylin_strength": ("hematoxylin is", "fainter", "stronger"),
    "eosin_strength": ("eosin is", "fainter", "stronger"),
}


@dataclass(frozen=True)
class Unseen:
    """A statistic of a slide that lies outside of what training saw."""

    name: ColourStatistic
    value: float
    low: float
    high: float

    def text(self) -> str:
        """What it means, in a sentence for the reader of the numbers."""
        subject, less, more = _WORDS[self.name]
        unit = " degrees" if self.name.endswith("_hue") else ""
        range_ = f"{self.name} {self.value:.3g}{unit}, seen {self.low:.3g} to {self.high:.3g}"
        return (
            f"The slide's {subject} {less if self.value < self.low else more} than in the images that the model was "
            f"trained on ({range_}); its numbers are less sure."
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def describe_stain(pixels: Pixels) -> dict[ColourStatistic, float]:
    """The colour statistics of a sample of a slide or an image, uint8 (..., 3), over its tissue pixels.

    `density_*` are medians of the optical densities; hues are the angles in degrees of Macenko's two stain vectors in
    the plane of equal total density (60 takes red and green alike, 120 green alone, 240 blue alone); strengths are 95th
    percentiles of the stains' amounts. Numbers that the sample does not give are left out: all where there is hardly
    any tissue, those of the stains where there is only one.

    References
    ----------
    Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250.
    """
    flat = pixels.reshape(-1, 3)
    density = optical_density(flat[:: max(1, -(-len(flat) // MAX_PIXELS))]).astype(np.float64)
    density = density[(density > TISSUE_DENSITY).any(axis=1)]
    if len(density) < MIN_PIXELS:
        return {}
    found = dict(zip(STATISTICS[:3], np.median(density, axis=0).tolist(), strict=True))
    stains = find_stains(density)
    if not isinstance(stains, str):
        amounts = np.percentile(density @ np.linalg.pinv(stains), STRENGTH_PERCENT, axis=0)
        found |= dict(zip(STATISTICS[3:], [*map(_hue_degrees, stains), *amounts.tolist()], strict=True))
    return found


def seen_of(images: Iterable[Pixels], mpp: float) -> StainSeen | None:
    """The ranges of the statistics over training images: their 1st to 99th percentiles, widened at both ends.

    None where fewer than five of the images show two stains on tissue: no range follows from them.

    Parameters
    ----------
    images
        uint8 (..., 3) each: an image, or a sample of it, at the model's resolution, before any augmentation.
    mpp
        The model's resolution.
    """
    described = [found for found in map(describe_stain, images) if len(found) == len(STATISTICS)]
    if len(described) < MIN_IMAGES:
        return None
    ranges = {name: _range(name, [found[name] for found in described]) for name in STATISTICS}
    return StainSeen(images=len(described), mpp=mpp, ranges=ranges)


def find_unseen(seen: StainSeen, found: dict[ColourStatistic, float]) -> tuple[Unseen, ...]:
    """The statistics of a slide that lie outside of what was seen, in the order of `STATISTICS`."""
    return tuple(
        Unseen(name, found[name], seen.ranges[name].low, seen.ranges[name].high)
        for name in STATISTICS
        if name in found and name in seen.ranges
        if not seen.ranges[name].low <= found[name] <= seen.ranges[name].high
    )


def find_unmeasured(seen: StainSeen, found: dict[ColourStatistic, float]) -> tuple[ColourStatistic, ...]:
    """The statistics that training has a range for and the slide gives no number for."""
    return tuple(name for name in STATISTICS if name in seen.ranges and name not in found)


def _range(name: ColourStatistic, values: Sequence[float]) -> SeenRange:
    low, high = np.percentile(values, [LOW_PERCENT, HIGH_PERCENT]).tolist()
    least = LEAST_DEGREES if name.endswith("_hue") else LEAST_PART * (low + high) / 2
    more = max(WIDER * (high - low), least)
    return SeenRange(low=round(low - more, 4), high=round(high + more, 4))


def _hue_degrees(stain: Floats) -> float:
    """From -90 up to 270, so that no stain in use lies at the jump."""
    red, green, blue = stain.tolist()
    angle = float(np.degrees(np.arctan2(np.sqrt(3.0) * (green - blue), 2 * red - green - blue)))
    return (angle + 90.0) % 360.0 - 90.0
