"""The architecture of the tissue at any point: nests and glands, stroma and its fibres, fat, infiltrate."""

from dataclasses import dataclass, fields
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream, uniform
from training.phantom.layout import depth_um
from training.phantom.noise import smooth_noise
from training.phantom.spec import PhantomSpec

FAR_UM = -60.0


@dataclass(frozen=True)
class Tissue:
    """Fields over points, all of one shape; distances are about in um and positive inside."""

    depth: Floats
    """Inside the tissue."""
    nest: Floats
    """Inside an epithelial or tumour nest."""
    lumen: Floats
    """Inside a gland's lumen."""
    vessel: Floats
    """Inside a small vessel of the stroma."""
    cell: Floats
    """Inside a red cell, were the place in a vessel."""
    fat: Floats
    """Inside fat."""
    wall: Floats
    """From the nearest wall between fat cells; never negative."""
    collagen: Floats
    """Density of collagen, zero mean, unit spread."""
    cleft: Floats
    """How far the nest has shrunk from its stroma, zero mean."""
    infiltrate: Floats
    """Above zero: lymphocytes crowd."""
    grade: Floats
    """Pleomorphism, zero mean, unit spread: size and crowding of tumour nuclei."""
    mottle: Floats
    """Unevenness of cytoplasm, zero mean, unit spread."""
    weave: Floats
    """Which of two directions the collagen takes here: the first above zero."""
    across: Floats
    """Coordinate across the fibres of the first direction, um."""
    along: Floats
    """Coordinate along them, um."""
    across_2: Floats
    along_2: Floats

    def of(self, shape: tuple[int, ...]) -> "Tissue":
        """The same fields in another shape."""
        return Tissue(**{f.name: getattr(self, f.name).reshape(shape) for f in fields(self)})


@dataclass(frozen=True)
class Scatter:
    """A jittered lattice of points."""

    spacing_um: float
    jitter: float
    stagger: float = 0.0
    """How far every other row is moved, in parts of the spacing."""

    def points(self, i: NDArray[np.int64], j: NDArray[np.int64], u: Floats) -> tuple[Floats, Floats]:
        """The points of lattice places (i, j), moved by the first two rows of `u`."""
        x = (i + self.stagger * (j & 1) + 0.5 + self.jitter * (u[0] - 0.5)) * self.spacing_um
        return x, (j + 0.5 + self.jitter * (u[1] - 0.5)) * self.spacing_um


@dataclass(frozen=True)
class _Nests:
    """A jittered lattice of blobs."""

    name: str
    spacing_um: float
    smallest_um: float
    largest_um: float
    lumen_part: float
    present: float | None = None
    """The part of the lattice that is taken; None where the tumour decides."""


_VESSELS = _Nests("vessel", 150.0, 7.0, 19.0, 0.0, present=0.5)
FAT_CELLS = Scatter(78.0, 0.7)
RED_CELLS = Scatter(7.6, 0.5, 0.5)
RED_CELL_UM = 3.3
_LATTICES = (_Nests("gland", 165.0, 34.0, 66.0, 0.4), _Nests("cord", 74.0, 9.0, 27.0, 0.0))


def tissue_at(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> Tissue:
    """The tissue at points given in the tissue's coordinates (um)."""
    shape, x, y = x_um.shape, x_um.ravel(), y_um.ravel()
    seed = spec.seed

    def noise(name: str, wavelength_um: float) -> Floats:
        return smooth_noise(stream(seed, name), x, y, wavelength_um)

    wx = x + 9.0 * noise("bend-x", 75.0)
    wy = y + 9.0 * noise("bend-y", 75.0)
    nest, lumen = _united(spec, _LATTICES, wx, wy)
    vessel, _ = _united(spec, (_VESSELS,), wx, wy)
    red, _ = nearest_two(stream(seed, "red-cells"), RED_CELLS, x, y)
    nest = nest + 3.2 * noise("nest-edge", 30.0) + 1.3 * noise("nest-fringe", 11.0)
    bend = (
        -0.7 * np.clip(nest, -24.0, 0.0)
        + 34.0 * noise("bend", 240.0)
        + 3.0 * noise("waves", 26.0)
        + 1.3 * noise("curls", 10.0)
    )
    far_x = x + 38.0 * noise("drift-x", 150.0)
    far_y = y + 38.0 * noise("drift-y", 150.0)
    fat = _fat(spec, far_x, far_y) - np.maximum(nest + 14.0, 0.0)
    return Tissue(
        depth=depth_um(spec, x, y),
        nest=nest,
        lumen=lumen + 2.0 * noise("lumen-edge", 16.0),
        vessel=np.minimum(vessel, -6.0 - np.maximum(nest, fat)),
        cell=RED_CELL_UM - red,
        fat=fat,
        wall=_fat_walls(seed, wx, wy, fat),
        collagen=0.75 * noise("collagen", 140.0) + 0.6 * noise("bundles", 38.0),
        cleft=noise("cleft", 60.0) + 0.5 * noise("cleft-detail", 14.0),
        infiltrate=_infiltrate(spec, far_x, far_y),
        grade=noise("grade", 420.0),
        mottle=0.8 * noise("mottle", 13.0) + 0.5 * noise("mottle-detail", 5.0),
        weave=noise("weave", 130.0) + 0.4 * noise("weave-detail", 30.0),
        across=bend + 0.34 * x + 0.94 * y,
        along=0.94 * x - 0.34 * y,
        across_2=bend - 0.97 * x + 0.24 * y,
        along_2=0.24 * x + 0.97 * y,
    ).of(shape)


def threshold(part: float) -> float:
    """The level that a unit normal field exceeds over `part` of the plane."""
    return NormalDist().inv_cdf(min(max(1.0 - part, 1e-6), 1.0 - 1e-6))


def tumour_field(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> Floats:
    """Above zero where nests may stand; the higher, the more they crowd."""
    wide = smooth_noise(stream(spec.seed, "tumour"), x_um, y_um, 800.0)
    near = smooth_noise(stream(spec.seed, "tumour-near"), x_um, y_um, 260.0)
    return 0.8 * wide + 0.6 * near - threshold(spec.tumour)


def _infiltrate(spec: PhantomSpec, x: Floats, y: Floats) -> Floats:
    wide = smooth_noise(stream(spec.seed, "infiltrate"), x, y, 210.0)
    near = smooth_noise(stream(spec.seed, "infiltrate-near"), x, y, 70.0)
    return 0.85 * wide + 0.5 * near - threshold(spec.lymphocytes)


def _fat(spec: PhantomSpec, x: Floats, y: Floats) -> Floats:
    wide = smooth_noise(stream(spec.seed, "fat"), x, y, 520.0)
    near = smooth_noise(stream(spec.seed, "fat-near"), x, y, 150.0)
    return 90.0 * (0.85 * wide + 0.5 * near - threshold(spec.fat))


def _united(spec: PhantomSpec, lattices: tuple[_Nests, ...], x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Depth inside the blobs of the lattices, and inside their lumens."""
    nest, lumen = np.full_like(x, FAR_UM), np.full_like(x, FAR_UM)
    for lattice in lattices:
        blobs = _blobs(spec, lattice, x, y)
        for step_x in (-1, 0, 1):
            for step_y in (-1, 0, 1):
                _add_blob(blobs, (step_x, step_y), (x, y), nest, lumen)
    return nest, lumen


@dataclass(frozen=True)
class _Blobs:
    spacing_um: float
    left: int
    top: int
    columns: int
    table: Floats
    """(9, n): centre x, centre y, radius, cos, sin, squeeze, lumen radius, lobe, lobe phase."""


def _blobs(spec: PhantomSpec, lattice: _Nests, x: Floats, y: Floats) -> _Blobs:
    spacing = lattice.spacing_um
    i, j, left, top = lattice_around(spacing, x, y)
    u = uniform(stream(spec.seed, lattice.name), i, j, 9)
    cx, cy = (i + 0.5 + 0.55 * (u[0] - 0.5)) * spacing, (j + 0.5 + 0.55 * (u[1] - 0.5)) * spacing
    if lattice.present is None:
        crowd = tumour_field(spec, cx.ravel(), cy.ravel()).reshape(i.shape)
    else:
        crowd = np.where(u[8] < lattice.present, 0.5, -1.0)
    radius = lattice.smallest_um + (lattice.largest_um - lattice.smallest_um) * u[2]
    radius = np.where(crowd > 0, radius * (0.82 + 0.30 * np.clip(crowd, 0.0, 1.5)), -1.0)
    hollow = (u[3] < lattice.lumen_part) & (radius > 42.0)
    angle = np.pi * u[4]
    oval = [np.cos(angle), np.sin(angle), 1.0 + 0.45 * u[5]]
    shape = [np.where(hollow, 0.22 + 0.3 * u[6], 0.0), 0.05 + 0.1 * u[6], 2 * np.pi * u[7]]
    table = np.stack([cx, cy, radius, *oval, *shape])
    return _Blobs(spacing, left, top, i.shape[1], table.reshape(len(table), -1))


def lattice_around(spacing: float, x: Floats, y: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """The lattice places within one step of the points, as two grids, and the grid's first column and row."""
    left, right = int(np.floor(x.min() / spacing)) - 1, int(np.floor(x.max() / spacing)) + 2
    top, bottom = int(np.floor(y.min() / spacing)) - 1, int(np.floor(y.max() / spacing)) + 1
    i, j = np.meshgrid(np.arange(left, right + 1), np.arange(top, bottom + 1))
    return i, j, left, top


def _add_blob(blobs: _Blobs, step: tuple[int, int], points: tuple[Floats, Floats], nest: Floats, lumen: Floats) -> None:
    """Unite the blob one lattice step away with what is there, for every point at once."""
    x, y = points
    i = np.floor(x / blobs.spacing_um).astype(np.int64) - blobs.left + step[0]
    j = np.floor(y / blobs.spacing_um).astype(np.int64) - blobs.top + step[1]
    cx, cy, radius, cos, sin, squeeze, hollow, lobe, phase = blobs.table[:, j * blobs.columns + i]
    dx, dy = x - cx, y - cy
    u, v = (dx * cos + dy * sin) / squeeze, -dx * sin + dy * cos
    distance = np.sqrt(u * u + v * v) + 1e-6
    c, s = u / distance, v / distance
    triple = c * (4 * c * c - 3) * np.cos(phase) + s * (3 - 4 * s * s) * np.sin(phase)
    edge = radius * (1.0 + lobe * triple)
    np.maximum(nest, np.where(radius > 0, edge - distance, FAR_UM), out=nest)
    np.maximum(lumen, np.where(hollow > 0, edge * hollow - distance, FAR_UM), out=lumen)


def _fat_walls(seed: int, x: Floats, y: Floats, fat: Floats) -> Floats:
    """Distance to the wall between the two nearest fat cells; far where there is no fat."""
    walls = np.full_like(x, 30.0)
    inside = fat > -12.0
    if inside.any():
        nearest, second = nearest_two(stream(seed, "fat-cells"), FAT_CELLS, x[inside], y[inside])
        walls[inside] = (second - nearest) / 2
    return walls


def nearest_two(key: int, scatter: Scatter, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Distances to the nearest and second nearest point of a jittered lattice.

    References
    ----------
    Worley 1996, doi 10.1145/237170.237267.
    """
    spacing = scatter.spacing_um
    i, j, left, top = lattice_around(spacing, x - spacing * scatter.stagger, y)
    cx, cy = (c.ravel() for c in scatter.points(i, j, uniform(key, i, j, 2)))
    first, second = np.full_like(x, np.inf), np.full_like(x, np.inf)
    row = np.floor(y / spacing).astype(np.int64)
    for down in (-1, 0, 1):
        column = np.floor(x / spacing - scatter.stagger * ((row + down) & 1)).astype(np.int64)
        home = (row + down - top) * i.shape[1] + column - left
        for across in (-1, 0, 1):
            distance = (x - cx[home + across]) ** 2 + (y - cy[home + across]) ** 2
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    return np.sqrt(first), np.sqrt(second)
