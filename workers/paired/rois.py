"""Regions of interest of two sections: where they lie on the first one, and what each of the two says of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dab import BLUE, BROWN, dab_classes
from workers.engine.fractions import AreasSource
from workers.geometry import Box
from workers.measures.fractions import Fractions, area_fractions
from workers.measures.lattice import ANALYSED, Lattice, Roles, Tally
from workers.outputs.maps import read_box
from workers.registration.slides import SlideRegistration
from workers.slides import Slide

Counts = NDArray[np.int64]
Points = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Densities = tuple[float, float]
"""From which density on brown is brown and blue is blue."""

ROI_UM = (1889.0, 966.0)
"""Of the paper: 7556 x 3864 px of 0.25 um."""
SMALLEST_UM = 60.0
"""A side below which halving ends: fewer than a dozen cells side by side."""
MIN_TISSUE = 0.5
"""The part of a region that must be tissue and seen in both sections."""
TILE_UM = 256.0
"""The other section is read in pieces of about this side: memory does not grow with the region."""
POINT_UM = 0.5
"""The other section is looked at on points about so far apart."""


@dataclass(frozen=True)
class Roi:
    """A rectangle of the class map, map px."""

    box: Box
    tissue: float
    """Part of it that was analysed."""


@dataclass(frozen=True)
class RoiPair:
    """What both sections say of a region, over what is seen in both."""

    roi: Roi
    common: float
    """Part of the region that was analysed and lies on the other section's slide."""
    he: Fractions
    ihc: Fractions


def choose_rois(
    source: AreasSource, roles: Roles, most: int, size_um: tuple[float, float], seed: int
) -> tuple[Roi, ...]:
    """Up to `most` rectangles of that size side by side, at least half tissue: drawn by `seed` where there are more.

    Row by row; they share no pixel and lie wholly on the map.
    """
    spec, mpp = source.spec, source.place.mpp
    width, height = (max(1, round(side / mpp)) for side in size_um)
    columns, rows = spec.width_px // width, spec.height_px // height
    if not columns or not rows:
        return ()
    tally = Tally(Lattice.over(spec.width_px, spec.height_px, width, height), roles)
    for box, values in source.pieces():
        tally.add(box, values)
    tissue = tally.sums[ANALYSED, :rows, :columns] / (width * height)
    places = np.argwhere(tissue >= MIN_TISSUE)
    if len(places) > most:
        places = places[np.sort(np.random.default_rng(seed).choice(len(places), most, replace=False))]
    return tuple(
        Roi(Box(column * width, row * height, width, height), float(tissue[row, column]))
        for row, column in places.tolist()
    )


def fitting_rois(
    source: AreasSource, roles: Roles, most: int, seed: int
) -> tuple[tuple[Roi, ...], tuple[float, float]]:
    """(the regions, their size in um): of the paper's size, or halved until there are `most` of them."""
    size_um, found = ROI_UM, choose_rois(source, roles, most, ROI_UM, seed)
    while len(found) < most and min(size_um) / 2 >= SMALLEST_UM:
        size_um = (size_um[0] / 2, size_um[1] / 2)
        found = choose_rois(source, roles, most, size_um, seed)
    return found, size_um


def compare_roi(source: AreasSource, roles: Roles, roi: Roi, laid: SlideRegistration, densities: Densities) -> RoiPair:
    """A region in both sections: the class map against the colours of the other section, piece by piece."""
    px = np.zeros(5, dtype=np.int64)
    for box in _pieces(roi.box, source.place.mpp):
        px += _count_piece(source, roles, box, laid, densities)
    positive, negative, brown, blue, common = px.tolist()
    fine = _fine(source.place.mpp)
    return RoiPair(
        roi=roi,
        common=common / (roi.box.width * roi.box.height * fine**2),
        he=area_fractions(positive, negative, common),
        ihc=area_fractions(brown, blue, common),
    )


def _count_piece(source: AreasSource, roles: Roles, box: Box, laid: SlideRegistration, densities: Densities) -> Counts:
    """(5,): points that are positive, negative, brown, blue, and all that are seen in both sections."""
    fine, place = _fine(source.place.mpp), source.place
    values = read_box(source.maps, source.spec, box).repeat(fine, axis=0).repeat(fine, axis=1)
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    points = np.column_stack([xs.ravel(), ys.ravel()]) + 0.5
    there = laid.map_points((points / fine + (box.x, box.y)) * place.scale)
    colours, seen = colours_at(laid.moving, there, source.frame.mpp, densities)
    common = seen & (values.ravel() < roles.classes)
    he, ihc = values.ravel()[common], colours[common]
    counts = (he == roles.positive, he == roles.negative, ihc == BROWN, ihc == BLUE)
    return np.array([*(count.sum() for count in counts), common.sum()], dtype=np.int64)


def colours_at(slide: Slide, points_px: Points, mpp: float, densities: Densities) -> tuple[Bytes, NDArray[np.bool_]]:
    """(the `dab_classes` of the px that hold points, which points lie on the slide); points are level-0 px."""
    pixels, seen = pixels_at(slide, points_px, mpp)
    return dab_classes(pixels[None], *densities)[0], seen


def pixels_at(slide: Slide, points_px: Points, mpp: float) -> tuple[Bytes, NDArray[np.bool_]]:
    """(uint8 (n, 3): the px that hold points, which points lie on the slide); white beside it.

    Parameters
    ----------
    points_px
        Level-0 px, close to each other: the box around them is read.
    mpp
        To read at; the slide's own where that is coarser.
    """
    info = slide.info
    mpp = max(mpp, info.mpp)
    columns, rows = np.floor(points_px * info.mpp / mpp).astype(np.int64).T
    inside = (points_px >= 0) & (points_px < (info.width_px, info.height_px))
    seen = np.asarray(inside.all(axis=1), dtype=np.bool_)
    found = np.full((len(points_px), 3), 255, dtype=np.uint8)
    if seen.any():
        left, top = int(columns[seen].min()), int(rows[seen].min())
        width, height = int(columns[seen].max()) + 1 - left, int(rows[seen].max()) + 1 - top
        pixels = slide.read(Box(left, top, width, height), mpp)
        found[seen] = pixels[rows[seen] - top, columns[seen] - left]
    return found, seen


def _fine(mpp: float) -> int:
    """Points per map px and direction."""
    return max(1, round(mpp / POINT_UM))


def _pieces(box: Box, mpp: float) -> Iterator[Box]:
    side = max(1, round(TILE_UM / mpp))
    for y in range(box.y, box.bottom, side):
        for x in range(box.x, box.right, side):
            yield Box(x, y, side, side).intersect(box)
