"""The slide from afar: pieces of tissue on glass, their hotspots, and where surely nothing is."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream, uniform
from training.phantom.noise import LARGEST_NOISE, smooth_noise
from training.phantom.spec import PhantomSpec

POWER = 2.5
"""Between an ellipse (2) and a box: sections of blocks are rounded boxes."""
FILL = 4 * math.gamma(1 + 1 / POWER) ** 2 / math.gamma(1 + 2 / POWER) / 4
"""The part of its bounding box that such an outline fills."""
EVERYWHERE_UM = 1e6
EDGE_WAVES = ((0.9, 0.075), (0.3, 0.030))
"""(wavelength, height) of the edge's waves, in parts of the piece's smaller half axis."""
RAGGED_UM = 7.0
PEN_AWAY_UM = 350.0
"""How far outside of the tissue a pen is drawn."""
PEN_WIDTH_UM = 260.0


@dataclass(frozen=True)
class Piece:
    """One piece of tissue: a rounded outline, made irregular by noise."""

    x_um: float
    y_um: float
    half_width_um: float
    half_height_um: float

    @property
    def reach_um(self) -> float:
        """The smaller half axis."""
        return min(self.half_width_um, self.half_height_um)


@dataclass(frozen=True)
class Hotspot:
    """A disc where more nuclei proliferate."""

    x_um: float
    y_um: float
    radius_um: float


def pieces_of(spec: PhantomSpec) -> tuple[Piece, ...]:
    """The pieces of tissue, side by side along the slide's longer side, sized so that they cover `spec.tissue`."""
    wide = spec.width_um >= spec.height_um
    cell_w = spec.width_um / (spec.pieces if wide else 1)
    cell_h = spec.height_um / (1 if wide else spec.pieces)
    scale = math.sqrt(spec.tissue / FILL)
    made = []
    for n in range(spec.pieces):
        x = cell_w * ((n + 0.5) if wide else 0.5)
        y = cell_h * (0.5 if wide else (n + 0.5))
        made.append(Piece(x, y, scale * cell_w / 2, scale * cell_h / 2))
    return tuple(made)


def hotspots_of(spec: PhantomSpec) -> tuple[Hotspot, ...]:
    """The hotspots: discs of up to 2 mm2 inside the pieces."""
    made = []
    for n, piece in enumerate(pieces_of(spec)):
        places = np.arange(spec.hotspots)
        for u, v in uniform(stream(spec.seed, "hotspots"), places, np.full_like(places, n), 2).T:
            radius = min(math.sqrt(2 / math.pi) * 1000.0, 0.45 * piece.reach_um)
            dx, dy = (u - 0.5) * piece.half_width_um, (v - 0.5) * piece.half_height_um
            made.append(Hotspot(piece.x_um + dx, piece.y_um + dy, radius))
    return tuple(made)


def depth_um(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> Floats:
    """How deep inside tissue each point lies, about in um; negative on glass."""
    if spec.tissue >= 0.999:
        return np.full_like(x_um, EVERYWHERE_UM)
    depth = np.full_like(x_um, -EVERYWHERE_UM)
    if spec.tissue <= 0:
        return depth
    for piece in pieces_of(spec):
        edge = _base_depth(piece, x_um, y_um)
        for n, (length, height) in enumerate(EDGE_WAVES):
            key = stream(spec.seed, f"edge/{n}")
            edge += height * piece.reach_um * smooth_noise(key, x_um, y_um, length * piece.reach_um)
        depth = np.maximum(depth, edge)
    return depth + RAGGED_UM * smooth_noise(stream(spec.seed, "ragged"), x_um, y_um, 45.0)


def outer_depth_um(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> Floats:
    """Depth inside the smooth outlines of the pieces, irregularities left out."""
    depths = [_base_depth(piece, x_um, y_um) for piece in pieces_of(spec)] if spec.tissue > 0 else []
    outer: Floats = np.max([np.full_like(x_um, -EVERYWHERE_UM), *depths], axis=0)
    return outer


def may_hold_tissue(spec: PhantomSpec, x_um: Floats, y_um: Floats, radius_um: float) -> NDArray[np.bool_]:
    """False only where no point within `radius_um` can be tissue: a bound, cheap, for skipping glass."""
    if spec.tissue >= 0.999:
        return np.ones(x_um.shape, dtype=bool)
    may = np.zeros(x_um.shape, dtype=bool)
    for piece in pieces_of(spec) if spec.tissue > 0 else ():
        highest = LARGEST_NOISE * (sum(h for _, h in EDGE_WAVES) * piece.reach_um + RAGGED_UM)
        highest = max(highest, PEN_AWAY_UM + PEN_WIDTH_UM + 200.0) if spec.pen else highest
        # The base falls by at most sqrt(2) um per um: the power mean of two distances is no steeper than their sum.
        may |= _base_depth(piece, x_um, y_um) > -(highest + 1.5 * radius_um)
    return may


def in_hotspot(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> NDArray[np.bool_]:
    """True for points inside a hotspot."""
    inside = np.zeros(x_um.shape, dtype=bool)
    for spot in hotspots_of(spec):
        inside |= (x_um - spot.x_um) ** 2 + (y_um - spot.y_um) ** 2 <= spot.radius_um**2
    return inside


def _base_depth(piece: Piece, x_um: Floats, y_um: Floats) -> Floats:
    across = np.abs(x_um - piece.x_um) / piece.half_width_um
    down = np.abs(y_um - piece.y_um) / piece.half_height_um
    base: Floats = (1.0 - (across**POWER + down**POWER) ** (1 / POWER)) * piece.reach_um
    return base
