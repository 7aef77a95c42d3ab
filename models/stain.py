"""Stain normalisation as packages declare it: fitted once per slide on sampled tissue, then applied to every tile.

Both methods map single pixels, so that tiles cannot show. A sample that cannot be fitted (no tissue, one stain only)
leaves the colours as they are and says so in `warnings`, which the result carries: the numbers of a package made for
normalised colours are then less sure, but the slide's own colours are not made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.colour import DENSITY_OF_BYTE, Floats, from_density, from_lab, optical_density, to_lab
from models.stain_spec import MacenkoStep, ReinhardStep

Tile = NDArray[np.uint8]

TISSUE_DENSITY = 0.15
"""Pixels fainter than this in every colour are glass (Macenko 2009)."""
ANGLE_PERCENT = 1.0
"""The extreme hues are the 1st and 99th percentiles, robust to single pixels (Macenko 2009)."""
MAX_PERCENT = 99.0
MIN_PIXELS = 500
MIN_ANGLE_RAD = np.deg2rad(3.0)
"""Two stains whose colours are closer than this are one: their amounts cannot be told apart."""
MIN_STD = 0.5
MAX_FITTED_PIXELS = 400_000


class FittedStep(Protocol):
    """One normalisation step with its numbers for one slide."""

    def apply(self, tile: Tile) -> Tile:
        """The normalised tile, uint8 (H, W, 3)."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """What was fitted, for the result."""
        ...


@dataclass(frozen=True)
class FittedStain:
    """All steps of a package fitted to one slide. Safe to share between threads: `apply` changes nothing."""

    steps: tuple[FittedStep, ...] = ()
    warnings: tuple[str, ...] = ()

    def apply(self, tile: Tile) -> Tile:
        """The normalised tile, uint8 (H, W, 3); the tile itself where there are no steps."""
        for step in self.steps:
            tile = step.apply(tile)
        return tile

    def as_dict(self) -> dict[str, Any]:
        """Fitted numbers and warnings, ready for JSON."""
        return {"steps": [step.as_dict() for step in self.steps], "warnings": list(self.warnings)}


@dataclass(frozen=True, eq=False)
class FittedMacenko:
    """A linear map of optical densities: unmix by the slide's stains, mix again by the target's."""

    stains: NDArray[np.float64]
    """The slide's hematoxylin and eosin, unit vectors, (2, 3)."""
    max_concentrations: NDArray[np.float64]
    mix: Floats
    """The map for row vectors, (3, 3)."""

    def apply(self, tile: Tile) -> Tile:
        """The tile in the target's stains, uint8 (H, W, 3)."""
        return from_density(DENSITY_OF_BYTE[tile] @ self.mix)

    def as_dict(self) -> dict[str, Any]:
        """The slide's own stain matrix and 99th percentiles."""
        return {
            "kind": "macenko",
            "stain_matrix": self.stains.round(6).tolist(),
            "max_concentrations": self.max_concentrations.round(6).tolist(),
        }


@dataclass(frozen=True, eq=False)
class FittedReinhard:
    """An affine map of CIELAB: the slide's mean and spread become the target's."""

    mean: Floats
    std: Floats
    target: ReinhardStep

    def apply(self, tile: Tile) -> Tile:
        """The tile in the target's colours, uint8 (H, W, 3)."""
        factor = np.asarray(self.target.std, np.float32) / self.std
        return from_lab(to_lab(tile) * factor + (np.asarray(self.target.mean, np.float32) - self.mean * factor))

    def as_dict(self) -> dict[str, Any]:
        """The slide's own mean and standard deviation in CIELAB."""
        return {"kind": "reinhard", "mean": self.mean.round(4).tolist(), "std": self.std.round(4).tolist()}


def fit_stain(steps: Sequence[MacenkoStep | ReinhardStep], sample: Tile) -> FittedStain:
    """The steps fitted to a sample of the slide's tissue, each to what the steps before it make of the sample.

    Parameters
    ----------
    sample
        uint8, (N, h, w, 3). Every k-th pixel is used where there are more than `MAX_FITTED_PIXELS`.

    References
    ----------
    Macenko 2009, doi:10.1109/ISBI.2009.5193250; Reinhard 2001, doi:10.1109/38.946629.
    """
    pixels = sample.reshape(-1, 3)
    pixels = pixels[:: max(1, -(-len(pixels) // MAX_FITTED_PIXELS))]
    fitted: list[FittedStep] = []
    warnings: list[str] = []
    for step in steps:
        outcome = fit_macenko(step, pixels) if isinstance(step, MacenkoStep) else fit_reinhard(step, pixels)
        if isinstance(outcome, str):
            warnings.append(f"{step.kind}: {outcome}; the colours were left as they are")
            continue
        fitted.append(outcome)
        pixels = outcome.apply(pixels)
    return FittedStain(tuple(fitted), tuple(warnings))


def fit_macenko(step: MacenkoStep, pixels: Tile) -> FittedMacenko | str:
    """The fitted step for pixels (n, 3), or why it cannot be fitted.

    The two stains are the extreme directions in the plane that holds most of the densities' variance; hematoxylin is
    the one that takes more of the red. Optical density is `models.colour.optical_density`, with the natural logarithm;
    percentiles of concentrations are over tissue pixels.
    """
    density = optical_density(pixels).astype(np.float64)
    # In any colour: pure eosin hardly takes red, and would be lost if every colour had to be dense.
    density = density[(density > TISSUE_DENSITY).any(axis=1)]
    if len(density) < MIN_PIXELS:
        return f"only {len(density)} tissue pixels were sampled, {MIN_PIXELS} are needed"
    stains = find_stains(density)
    if isinstance(stains, str):
        return stains
    unmix = np.linalg.pinv(stains)
    highest = np.percentile(density @ unmix, MAX_PERCENT, axis=0)
    if (highest <= 0).any():
        return "a stain has no amount in the sample"
    target = np.asarray(step.stain_matrix, np.float64)
    mix = unmix @ np.diag(np.asarray(step.max_concentrations) / highest) @ target
    return FittedMacenko(stains, highest, mix.astype(np.float32))


def fit_reinhard(step: ReinhardStep, pixels: Tile) -> FittedReinhard | str:
    """The fitted step for pixels (n, 3), or why it cannot be fitted; mean and spread are those of tissue pixels."""
    tissue = pixels[optical_density(pixels).max(axis=1) > TISSUE_DENSITY]
    if len(tissue) < MIN_PIXELS:
        return f"only {len(tissue)} tissue pixels were sampled, {MIN_PIXELS} are needed"
    lab = to_lab(tissue).astype(np.float64)
    mean, std = lab.mean(axis=0).astype(np.float32), lab.std(axis=0).astype(np.float32)
    if (std < MIN_STD).any():
        return f"the sample's colours are flat (standard deviations {', '.join(f'{s:.2f}' for s in std)})"
    return FittedReinhard(mean, std, step)


def find_stains(density: NDArray[np.float64]) -> NDArray[np.float64] | str:
    """(hematoxylin, eosin) of tissue pixels' optical densities (n, 3), unit vectors, (2, 3); or why there are not two.

    References
    ----------
    Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250.
    """
    stains = _extreme_stains(density)
    angle = float(np.arccos(np.clip(stains[0] @ stains[1], -1, 1)))
    if angle < MIN_ANGLE_RAD:
        return f"the sample holds one stain: its colours differ by {np.rad2deg(angle):.1f} degrees"
    return stains


def _extreme_stains(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """(hematoxylin, eosin) as unit vectors, (2, 3)."""
    _, vectors = np.linalg.eigh(np.cov(density, rowvar=False))
    plane = vectors[:, [2, 1]]
    # Densities are positive: the first axis points their way, so that hues lie within a half turn around it.
    plane[:, 0] *= 1.0 if (density @ plane[:, 0]).mean() >= 0 else -1.0
    projected = density @ plane
    low, high = np.percentile(np.arctan2(projected[:, 1], projected[:, 0]), [ANGLE_PERCENT, 100 - ANGLE_PERCENT])
    stains = np.stack([plane @ (np.cos(angle), np.sin(angle)) for angle in (low, high)])
    return stains if stains[0, 0] >= stains[1, 0] else stains[::-1]
