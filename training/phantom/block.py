"""One block of tissue, stain by no stain yet: how much of each matter every pixel holds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream
from training.phantom.noise import FIBRE_PITCH_UM, FIBRE_SHAPE, Textures, smooth_noise, textures
from training.phantom.nucleus import LARGEST_UM, Nuclei
from training.phantom.pen import ink_depth_um
from training.phantom.placing import TUMOUR_LATTICE, nuclei_in
from training.phantom.section import is_moved, to_slide, to_tissue
from training.phantom.spec import PhantomSpec, Section
from training.phantom.stamp import Canvas, stamp
from training.phantom.tissue import Tissue, nearest_two, tissue_at

Map = NDArray[np.float32]
BLOCK_PX = 512
COARSE_UM = 2.0
GLASS_UM = -25.0
"""Deeper than this outside of the tissue, nothing is drawn."""


@dataclass(frozen=True)
class Block:
    """Matter per pixel of a window, float32 (height, width), and the nuclei that were drawn."""

    canvas: Canvas
    nuclei: Nuclei
    tissue: Map
    """How much of the pixel is tissue, 0 to 1."""
    cytoplasm: Map
    """Of epithelial and tumour cells."""
    collagen: Map
    membrane: Map
    """Borders of cells, walls of fat cells."""
    blood: Map
    """Red cells in vessels."""
    fine: Map
    medium: Map
    ink: Map | None
    """How much of the pixel a pen covers, 0 to 1; None where there is none."""


def coarse_step(mpp: float) -> int:
    """Pixels between the points where the architecture is computed: a power of two, about 2 um."""
    return int(np.clip(2 ** round(np.log2(COARSE_UM / mpp)), 1, 16))


def block_at(spec: PhantomSpec, section: Section, x_px: int, y_px: int, halo_px: int) -> Block | None:
    """The block whose first pixel is (x_px, y_px), with a halo; None where it holds glass alone.

    `x_px`, `y_px` and `halo_px` lie on the grid of `coarse_step`.
    """
    step = coarse_step(spec.mpp)
    side = BLOCK_PX + 2 * halo_px
    left, top = x_px - halo_px, y_px - halo_px
    x, y = _coarse_points(spec, section, (left, top, side), step)
    tissue = tissue_at(spec, x, y)
    ink = ink_depth_um(spec, x, y) if spec.pen else np.full_like(x, GLASS_UM)
    if max(tissue.depth.max(), ink.max()) < GLASS_UM + 0.1:
        return None
    grain = textures(spec.seed, spec.mpp)
    canvas = Canvas.blank(left, top, (side, side), spec.mpp)
    nuclei, at = _nuclei_around(spec, section, canvas)
    stamp(canvas, nuclei, at, grain, spec.seed)
    return _matter(spec, canvas, nuclei, _Fields(tissue, x, y, step, grain, ink))


@dataclass(frozen=True)
class _Fields:
    tissue: Tissue
    x_um: Floats
    y_um: Floats
    step: int
    grain: Textures
    ink: Floats


def _coarse_points(
    spec: PhantomSpec, section: Section, window: tuple[int, int, int], step: int
) -> tuple[Floats, Floats]:
    """The tissue's coordinates of the coarse points of a window, with the margin that the blend needs."""
    left, top, side = window
    count = side // step + 3
    xs = (left + (np.arange(count) - 1) * step) * spec.mpp
    ys = (top + (np.arange(count) - 1) * step) * spec.mpp
    x, y = np.meshgrid(xs, ys)
    return to_tissue(spec, section, x, y)


def _nuclei_around(spec: PhantomSpec, section: Section, canvas: Canvas) -> tuple[Nuclei, tuple[Floats, Floats]]:
    """The nuclei that may touch the canvas, and their centres in slide px."""
    height, width = canvas.cover.shape
    edges_x = np.array([canvas.x_px, canvas.x_px + width]) * spec.mpp + np.array([-LARGEST_UM, LARGEST_UM])
    edges_y = np.array([canvas.y_px, canvas.y_px + height]) * spec.mpp + np.array([-LARGEST_UM, LARGEST_UM])
    x, y = to_tissue(spec, section, *np.meshgrid(edges_x, edges_y))
    slack = 4.0 if is_moved(section) else 0.0
    nuclei = nuclei_in(spec, x.min() - slack, y.min() - slack, x.max() + slack, y.max() + slack)
    sx, sy = to_slide(spec, section, nuclei.x, nuclei.y)
    return nuclei, (sx / spec.mpp, sy / spec.mpp)


def enlarge(coarse: Floats, step: int) -> Map:
    """The coarse field at every pixel, by cubic B-splines: smooth, and each pixel from its 4 x 4 points alone.

    References
    ----------
    Unser 1999, doi 10.1109/79.799930.
    """
    t = (np.arange(step) + 0.5) / step
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6.0
    weights = weights.astype(np.float32)
    source = coarse.astype(np.float32)
    rows, columns = source.shape[0] - 3, source.shape[1] - 3
    wide = np.zeros((source.shape[0], columns, step), dtype=np.float32)
    for k in range(4):
        wide += source[:, k : k + columns, None] * weights[k]
    wide = wide.reshape(source.shape[0], 1, columns * step)
    tall = np.zeros((rows, step, columns * step), dtype=np.float32)
    for k in range(4):
        tall += wide[k : k + rows] * weights[k][:, None]
    return tall.reshape(rows * step, columns * step)


def _matter(spec: PhantomSpec, canvas: Canvas, nuclei: Nuclei, fields: _Fields) -> Block:
    height, width = canvas.cover.shape
    grain, tissue = fields.grain, fields.tissue
    fine = grain.window(grain.fine, canvas.x_px, canvas.y_px, width, height)
    medium = grain.window(grain.medium, canvas.x_px, canvas.y_px, width, height)
    inside = _soft(enlarge(tissue.depth.clip(-80, 80), fields.step) + 2.5 * medium, 4.0)
    nest = enlarge(tissue.nest, fields.step)
    hollow = (
        _soft(enlarge(tissue.lumen, fields.step) + 0.8 * medium, 1.6)
        if tissue.lumen.max() > -4
        else np.zeros_like(nest)
    )
    fat, walls = _fat(fields, medium, nest)
    within = _soft(nest + 0.35 * medium, 1.8)
    cell = within * (1 - hollow)
    borders = _borders(spec, fields)
    membrane = fat * walls
    if borders is not None:
        membrane = membrane + cell * borders[0]
        cell = cell * (1 - borders[1])
    vessel, blood = _vessels(fields, medium, inside * (1 - within))
    stroma = inside * (1 - vessel) * (1 - within) * (1 - fat) * _cleft(fields, nest, fine) * (1 - hollow)
    return Block(
        canvas=canvas,
        nuclei=nuclei,
        tissue=inside,
        cytoplasm=inside * cell * _granular(fields, fine, medium),
        collagen=stroma * _strands(fields, fine, medium) if stroma.any() else stroma,
        membrane=inside * membrane,
        blood=blood,
        fine=fine,
        medium=medium,
        ink=_soft(enlarge(fields.ink.clip(-90, 90), fields.step), 12.0) if fields.ink.max() > GLASS_UM else None,
    )


def _soft(distance: Map, width_um: float) -> Map:
    """0 outside, 1 inside, a ramp of `width_um` between."""
    ramp: Map = np.clip(distance / np.float32(width_um) + np.float32(0.5), 0.0, 1.0)
    return ramp


def _granular(fields: _Fields, fine: Map, medium: Map) -> Map:
    mottle = enlarge(fields.tissue.mottle, fields.step)
    granules: Map = np.clip(1.0 + 0.09 * fine + 0.17 * medium + 0.15 * mottle, 0.1, 1.9)
    granules += 0.16 * np.clip(1.0 - 2.4 * np.abs(medium), 0.0, 1.0)
    granules *= np.clip((1.75 - mottle - 0.2 * medium) / 0.3, 0.12, 1.0)
    return granules


def _fat(fields: _Fields, medium: Map, nest: Map) -> tuple[Map, Map]:
    """How much is fat, and the thin walls in it."""
    if fields.tissue.fat.max() < -6:
        return np.zeros_like(nest), np.zeros_like(nest)
    fat = _soft(enlarge(fields.tissue.fat.clip(-40, 60), fields.step) + 0.3 * medium, 3.0)
    wall = enlarge(fields.tissue.wall.clip(0, 12), fields.step)
    return fat, np.clip(1.35 - wall / 1.3, 0.0, 1.0) * np.clip(0.75 + 0.25 * medium, 0.2, 1.3)


def _vessels(fields: _Fields, medium: Map, room: Map) -> tuple[Map, Map]:
    """How much is inside a vessel, and how much of that is red cells."""
    if fields.tissue.vessel.max() < -4:
        return np.zeros_like(room), np.zeros_like(room)
    depth: Map = enlarge(fields.tissue.vessel, fields.step) + np.float32(0.15) * medium
    vessel = _soft(depth, 1.5)
    cells = _soft(enlarge(fields.tissue.cell, fields.step), 0.9) * _soft(depth - np.float32(1.6), 1.2)
    blood: Map = room * cells * np.clip(0.9 + 0.08 * medium, 0.5, 1.2)
    return vessel, blood


def _cleft(fields: _Fields, nest: Map, fine: Map) -> Map:
    """1 where the stroma is whole, towards 0 in the clear gap around a shrunken nest."""
    open_um = np.clip(2.0 * enlarge(fields.tissue.cleft, fields.step) - 0.4, 0.0, 3.2)
    outside = -nest + 0.35 * fine
    within = np.clip(1.3 - np.abs(outside - open_um * 0.6) / (open_um * 0.5 + 0.3), 0.0, 1.0)
    gap: Map = 1.0 - within * np.minimum(open_um, 1.0)
    return gap


def _strands(fields: _Fields, fine: Map, medium: Map) -> Map:
    """Density of collagen: frayed bundles in two directions, wisps and holes between them."""
    tissue = fields.tissue
    first = _fibres(fields, tissue.across, tissue.along)
    second = _fibres(fields, tissue.across_2, tissue.along_2)
    turn = _soft(enlarge(tissue.weave, fields.step) + 0.3 * first[0], 0.4)
    bundles, threads = (b + (a - b) * turn for a, b in zip(first, second, strict=True))
    density = enlarge(tissue.collagen, fields.step)
    mottle = enlarge(tissue.mottle, fields.step)
    bundle = _soft(bundles + 0.55 * density + 0.3 * threads + 0.12 * medium + 0.12, 1.3)
    holes = np.clip(0.75 + 0.45 * mottle + 0.3 * density, 0.06, 1.0)
    dense = np.clip(0.80 + 0.13 * threads + 0.06 * density + 0.05 * fine, 0.3, 1.2)
    loose = np.clip(0.27 + 0.14 * threads + 0.09 * medium, 0.04, 0.6) * holes
    density_of_all: Map = loose + (dense - loose) * bundle
    return density_of_all


def _fibres(fields: _Fields, across: Floats, along: Floats) -> tuple[Map, Map]:
    """The bundles and the threads of the fibre textures, looked up along their coordinates."""
    rows = (enlarge(across, fields.step) * np.float32(1 / FIBRE_PITCH_UM[0])).astype(np.int32) % FIBRE_SHAPE[0]
    columns = (enlarge(along, fields.step) * np.float32(1 / FIBRE_PITCH_UM[1])).astype(np.int32) % FIBRE_SHAPE[1]
    at = rows * FIBRE_SHAPE[1] + columns
    return fields.grain.bundle.ravel().take(at), fields.grain.thread.ravel().take(at)


def _borders(spec: PhantomSpec, fields: _Fields) -> tuple[Map, Map] | None:
    """Lines between the cells of a nest: how much membrane, and how much of a gap where cells have parted."""
    if fields.tissue.nest.max() < 0:
        return None
    x, y = fields.x_um, fields.y_um
    key = stream(spec.seed, f"place/{TUMOUR_LATTICE.name}")
    nearest, second = nearest_two(key, TUMOUR_LATTICE.scatter, x.ravel(), y.ravel())
    edge = enlarge((second - nearest).reshape(x.shape), fields.step)
    shown = enlarge(smooth_noise(stream(spec.seed, "borders"), x, y, 60.0), fields.step)
    line = np.clip(1.9 - edge / 1.2, 0.0, 1.0)
    return line * np.clip(0.35 + 0.4 * shown, 0.0, 0.9), line * np.clip(-0.75 - 0.8 * shown, 0.0, 1.0)
