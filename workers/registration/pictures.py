"""Pictures by which a person judges a registration: both sections in two colours, and a checkerboard."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.outputs.picture import Caption, write_picture
from workers.registration.result import Registration
from workers.registration.structure import Floats, section_of

RGB = NDArray[np.uint8]
FIXED_COLOUR, MOVING_COLOUR = (0, 140, 0), (200, 0, 200)
DENSEST = 97.0
"""Percentile of density that is drawn in full colour."""
SQUARES = 12


def overlay(fixed: RGB, moving: RGB) -> RGB:
    """Two pictures of one frame in one: matter of the first green, of the second magenta, of both dark."""
    first, second = _strength(fixed), _strength(moving)
    channels = (1 - first, 1 - second, 1 - first)
    return np.stack([np.rint(255 * channel).astype(np.uint8) for channel in channels], axis=-1)


def checkerboard(fixed: RGB, moving: RGB) -> RGB:
    """Squares of one picture beside squares of the other: structures should run on across the edges."""
    side = max(8, max(fixed.shape[:2]) // SQUARES)
    rows, columns = (np.arange(length) // side for length in fixed.shape[:2])
    odd = (rows[:, None] + columns[None, :]) % 2 == 1
    return np.where(odd[..., None], moving, fixed)


def write_pictures(folder: Path, fixed: RGB, moving: RGB, registration: Registration) -> tuple[Path, ...]:
    """The paths of overlay.png and checkerboard.png in `folder`."""
    warped = registration.warp(moving)
    verdict = "trusted" if registration.quality.trusted else "not trusted"
    title = f"{registration.quality.agreeing:.0%} of the tissue agrees, {verdict}"
    legend = (("fixed", FIXED_COLOUR), ("moving", MOVING_COLOUR))
    paths = folder / "overlay.png", folder / "checkerboard.png"
    write_picture(paths[0], overlay(fixed, warped), Caption(title, legend, registration.mpp))
    write_picture(paths[1], checkerboard(fixed, warped), Caption(title, (), registration.mpp))
    return paths


def _strength(rgb: RGB) -> Floats:
    density = section_of(rgb, 1.0, np.ones(rgb.shape[:2], dtype=bool)).density
    return np.asarray(np.clip(density / max(float(np.percentile(density, DENSEST)), 1e-3), 0, 1))
