"""Where a point of the tissue lies on the slide of one stain, and back."""

import math

import numpy as np

from training.phantom.chance import Floats, stream, uniform
from training.phantom.spec import PhantomSpec, Section

WAVES = 4
INVERSE_STEPS = 12


def to_slide(spec: PhantomSpec, section: Section, x_um: Floats, y_um: Floats) -> tuple[Floats, Floats]:
    """The section's coordinates (um) of points given in the tissue's (um): turn about the centre, shift, warp."""
    if not is_moved(section):
        return x_um, y_um
    angle = math.radians(section.turn_deg)
    cx, cy = spec.width_um / 2, spec.height_um / 2
    dx, dy = x_um - cx, y_um - cy
    x = cx + dx * math.cos(angle) - dy * math.sin(angle) + section.shift_x_um
    y = cy + dx * math.sin(angle) + dy * math.cos(angle) + section.shift_y_um
    bend_x, bend_y = _warp(spec.seed, section, x_um, y_um)
    return x + bend_x, y + bend_y


def to_tissue(spec: PhantomSpec, section: Section, x_um: Floats, y_um: Floats) -> tuple[Floats, Floats]:
    """The tissue's coordinates (um) of points on the section's slide; inverse of `to_slide` to under 1e-3 um."""
    if not is_moved(section):
        return x_um, y_um
    angle = math.radians(-section.turn_deg)
    tx, ty = x_um, y_um
    for _ in range(INVERSE_STEPS):
        there_x, there_y = to_slide(spec, section, tx, ty)
        ex, ey = x_um - there_x, y_um - there_y
        tx = tx + ex * math.cos(angle) - ey * math.sin(angle)
        ty = ty + ex * math.sin(angle) + ey * math.cos(angle)
    return tx, ty


def is_moved(section: Section) -> bool:
    """True where the section does not lie as the reference does."""
    return any((section.shift_x_um, section.shift_y_um, section.turn_deg, section.warp_um))


def _warp(seed: int, section: Section, x_um: Floats, y_um: Floats) -> tuple[Floats, Floats]:
    """A sum of long waves: smooth, and invertible while the spread is well under the wavelength."""
    if not section.warp_um:
        return np.zeros_like(x_um), np.zeros_like(y_um)
    lattice = np.arange(2 * WAVES)
    draws = uniform(stream(seed, f"warp/{section.stain}"), lattice, lattice, 3)
    bends = []
    for axis in range(2):
        total = np.zeros_like(x_um)
        for angle, phase, length in draws[:, axis * WAVES : (axis + 1) * WAVES].T:
            k = 2 * np.pi / (section.warp_wavelength_um * (0.7 + 0.8 * length))
            along = x_um * np.cos(2 * np.pi * angle) + y_um * np.sin(2 * np.pi * angle)
            total = total + np.sin(k * along + 2 * np.pi * phase)
        bends.append(total * (section.warp_um * math.sqrt(2.0 / WAVES)))
    return bends[0], bends[1]
