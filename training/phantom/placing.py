"""Where nuclei stand: jittered lattices asked of the tissue, thinned where they would lie on each other."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from training.phantom.biology import alive
from training.phantom.chance import Floats, stream, uniform
from training.phantom.layout import in_hotspot
from training.phantom.nucleus import LARGEST_UM, Nuclei, join
from training.phantom.spec import PhantomSpec
from training.phantom.tissue import Scatter, Tissue, tissue_at

CLOSEST = 0.72
"""Two nuclei keep this part of the sum of their radii apart: they may touch and lap a little."""


@dataclass(frozen=True)
class Lattice:
    """Where nuclei of one type may stand, and how large and long they are."""

    kind: int
    name: str
    scatter: Scatter
    radius_um: float
    stretch: tuple[float, float]
    waviness: float


TUMOUR_LATTICE = Lattice(0, "tumour", Scatter(11.4, 0.62, 0.5), 4.0, (1.04, 1.5), 0.045)
LATTICES = (
    TUMOUR_LATTICE,
    Lattice(1, "stroma", Scatter(19.0, 0.9, 0.5), 2.9, (1.8, 4.6), 0.05),
    Lattice(2, "lymphocyte", Scatter(7.6, 0.55, 0.5), 2.75, (1.0, 1.22), 0.03),
)


def nuclei_in(spec: PhantomSpec, left: float, top: float, right: float, bottom: float) -> Nuclei:
    """The nuclei whose centres lie in the half-open box (um, tissue coordinates), each the same in every box."""
    reach = LARGEST_UM
    box = (left - reach, top - reach, right + reach, bottom + reach)
    found = [_candidates(spec, lattice, box) for lattice in LATTICES]
    every = join(found)
    if len(every):
        every = every.take(~_crowded(every))
    return within(every, left, top, right, bottom)


def within(nuclei: Nuclei, left: float, top: float, right: float, bottom: float) -> Nuclei:
    """Those of the nuclei whose centres lie in the half-open box (um)."""
    inside = (nuclei.x >= left) & (nuclei.x < right) & (nuclei.y >= top) & (nuclei.y < bottom)
    return nuclei.take(inside)


def _candidates(spec: PhantomSpec, lattice: Lattice, box: tuple[float, float, float, float]) -> Nuclei:
    spacing = lattice.scatter.spacing_um
    columns, rows = np.meshgrid(
        np.arange(int(np.floor(box[0] / spacing)) - 1, int(np.floor(box[2] / spacing)) + 2),
        np.arange(int(np.floor(box[1] / spacing)) - 1, int(np.floor(box[3] / spacing)) + 2),
    )
    i, j = columns.ravel(), rows.ravel()
    u = uniform(stream(spec.seed, f"place/{lattice.name}"), i, j, 3)
    x, y = lattice.scatter.points(i, j, u)
    tissue = tissue_at(spec, x, y)
    lives = u[2] < _likely(lattice.kind, tissue)
    kept = Tissue(**{f.name: getattr(tissue, f.name)[lives] for f in fields(tissue)})
    return _grown(spec, lattice, (i[lives], j[lives]), (x[lives], y[lives]), kept)


def _likely(kind: int, tissue: Tissue) -> Floats:
    """The chance that a nucleus of this type stands at each place."""
    inside = tissue.depth > 4.0
    if kind == 0:
        room = (tissue.nest > 2.6) & (tissue.lumen < -4.0)
        return np.where(inside & room, 0.86 - 0.07 * np.clip(tissue.grade, -1, 1), 0.0)
    stroma = inside & (tissue.nest < -2.2) & (tissue.lumen < -3.0) & (tissue.vessel < -2.0)
    between = np.where(tissue.fat > 0, (tissue.wall < 2.2) * 0.35, 1.0)
    if kind == 1:
        return np.where(stroma, between * (0.62 - 0.12 * np.clip(tissue.collagen, -1.5, 1.5)), 0.0)
    crowd = np.clip(0.02 + 1.3 * tissue.infiltrate, 0.012, 0.8)
    within = np.where(inside & (tissue.nest >= -2.2) & (tissue.lumen < -3.0), 0.006, 0.0)
    return np.where(stroma, np.where(tissue.fat > 0, 0.0, crowd), within)


def _grown(
    spec: PhantomSpec,
    lattice: Lattice,
    place: tuple[NDArray[np.int64], NDArray[np.int64]],
    at: tuple[Floats, Floats],
    tissue: Tissue,
) -> Nuclei:
    i, j = place
    u = uniform(stream(spec.seed, f"shape/{lattice.name}"), i, j, 16)
    stretch = lattice.stretch[0] + (lattice.stretch[1] - lattice.stretch[0]) * u[2] ** 1.5
    angle = np.pi * u[3] if lattice.kind != 1 else _fibre_angle(spec, at) + 0.5 * (u[3] - 0.5)
    waves = (u[4:12].T.reshape(-1, 2, 4) - 0.5) * (2 * lattice.waviness / np.array([1.0, 1.2, 1.8, 2.2]))
    plain = Nuclei(
        id=((lattice.kind << 60) + ((j + (1 << 29)) << 30) + (i + (1 << 29))).astype(np.int64),
        kind=np.full(len(i), lattice.kind, dtype=np.int8),
        x=at[0],
        y=at[1],
        major=lattice.radius_um * np.sqrt(stretch),
        minor=lattice.radius_um / np.sqrt(stretch),
        angle=angle,
        waves=waves,
        dark=np.full(len(i), (1.0, 1.2, 1.42)[lattice.kind]),
        coarse=np.full(len(i), (0.20, 0.18, 0.24)[lattice.kind]),
        nucleolus=np.zeros(len(i)),
        soft=0.35 + 1.9 * u[14] ** 3,
        ki67=np.zeros(len(i), dtype=bool),
        ki67_llr=np.zeros(len(i)),
        brown=np.zeros(len(i)),
        phh3=np.zeros(len(i)),
        phase=np.zeros(len(i), dtype=np.int8),
        lookalike=np.zeros(len(i), dtype=np.int8),
        hotspot=in_hotspot(spec, *at),
        grain=(u[15] * 2**31).astype(np.int64),
    )
    return alive(spec, plain, tissue, uniform(stream(spec.seed, f"life/{lattice.name}"), i, j, 20))


def _fibre_angle(spec: PhantomSpec, at: tuple[Floats, Floats]) -> Floats:
    """The direction along the fibres: across the slope of the fibre coordinate, by differences."""
    step = 2.0
    x, y = at
    if len(x) == 0:
        return np.zeros(0)
    points = np.concatenate([x + step, x - step, x, x]), np.concatenate([y, y, y + step, y - step])
    tissue = tissue_at(spec, *points)
    across = np.where(np.tile(tissue.weave.reshape(4, -1)[0] > 0, 4), tissue.across, tissue.across_2)
    east, west, south, north = across.reshape(4, -1)
    angle: Floats = np.arctan2(south - north, east - west) + np.pi / 2
    return angle


def _crowded(nuclei: Nuclei) -> NDArray[np.bool_]:
    """True for nuclei that lie too much on one with the older right to the place; mitoses and look-alikes come first.

    Matern's second thinning: every candidate with a neighbour of older right too near goes, whether that neighbour
    stays or not, so the answer needs no more than one neighbourhood and is the same from every block.
    """
    from scipy.spatial import cKDTree

    whole = np.maximum(nuclei.major, nuclei.minor)
    radius = np.where(nuclei.special, 0.95 * whole, np.sqrt(nuclei.major * nuclei.minor))
    right = nuclei.grain - (nuclei.special.astype(np.int64) << 32)
    pairs = cKDTree(np.stack([nuclei.x, nuclei.y], axis=1)).query_pairs(
        2 * CLOSEST * radius.max(), output_type="ndarray"
    )
    one, two = pairs[:, 0], pairs[:, 1]
    apart = np.hypot(nuclei.x[one] - nuclei.x[two], nuclei.y[one] - nuclei.y[two])
    near = apart < CLOSEST * (radius[one] + radius[two])
    crowded = np.zeros(len(nuclei), dtype=bool)
    crowded[one[near & (right[two] < right[one])]] = True
    crowded[two[near & (right[one] < right[two])]] = True
    return crowded
