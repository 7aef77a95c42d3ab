"""Two slides of consecutive sections laid onto each other: coarse over the whole, finer in regions on demand."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import RefusedInputError
from workers.geometry import Box
from workers.quality.masks import STRIP_ROWS
from workers.registration.align import RGB, refine_field, register
from workers.registration.fitting import PoseKind
from workers.registration.maps import Field, Points, Pose, Warp, nodes
from workers.registration.result import Registration
from workers.registration.structure import section_of
from workers.slides import Slide, frame_size

MPP = 4.0
MAX_PX = 9_000_000
"""Pixels of a picture that is registered whole; larger slides are read at a coarser mpp."""
REFINED_MPP = 1.0
MARGIN_UM = 100.0
"""Seen around a region that is refined."""
MAX_REGION_PX = 16_000_000
NODE_PX = 16
"""Spacing of the nodes that carry the coarse field into a region."""


@dataclass(frozen=True, eq=False)
class RegionRegistration:
    """Where level-0 points of a region of one slide lie on the other, finer than the whole slide's map."""

    region: Box
    """Level-0 px of the fixed slide; points outside are mapped by the nearest part of the field."""
    mpp: float
    warp: Warp
    """From px of the fixed window to px of the moving window."""
    fixed_origin_px: tuple[float, float]
    moving_origin_px: tuple[float, float]
    fixed_scale: float
    """Level-0 px of the fixed slide per px."""
    moving_scale: float

    def map_points(self, points_px: Points) -> Points:
        """Level-0 px of the moving slide of level-0 px of the fixed one, float64 (n, 2)."""
        here = np.asarray(points_px, dtype=np.float64).reshape(-1, 2) / self.fixed_scale - self.fixed_origin_px
        return np.asarray((self.warp.map_points(here) + self.moving_origin_px) * self.moving_scale)

    def inverse_points(self, points_px: Points) -> Points:
        """Level-0 px of the fixed slide of level-0 px of the moving one, float64 (n, 2)."""
        there = np.asarray(points_px, dtype=np.float64).reshape(-1, 2) / self.moving_scale - self.moving_origin_px
        return np.asarray((self.warp.inverse_points(there) + self.fixed_origin_px) * self.fixed_scale)


@dataclass(frozen=True, eq=False)
class SlideRegistration:
    """Where level-0 points of one slide lie on another."""

    registration: Registration
    fixed: Slide
    moving: Slide

    @property
    def fixed_scale(self) -> float:
        """Level-0 px of the fixed slide per px of the registered pictures."""
        return self.registration.mpp / self.fixed.info.mpp

    @property
    def moving_scale(self) -> float:
        """Level-0 px of the moving slide per px of the registered pictures."""
        return self.registration.mpp / self.moving.info.mpp

    def map_points(self, points_px: Points, field: bool = True) -> Points:
        """Level-0 px of the moving slide of level-0 px of the fixed one, float64 (n, 2)."""
        here = np.asarray(points_px, dtype=np.float64) / self.fixed_scale
        return self.registration.map_points(here, field) * self.moving_scale

    def inverse_points(self, points_px: Points, field: bool = True) -> Points:
        """Level-0 px of the fixed slide of level-0 px of the moving one, float64 (n, 2)."""
        there = np.asarray(points_px, dtype=np.float64) / self.moving_scale
        return self.registration.inverse_points(there, field) * self.fixed_scale

    def refine(self, region: Box, mpp: float = REFINED_MPP) -> RegionRegistration:
        """The map within a level-0 box of the fixed slide, refined at a finer mpp.

        Raises
        ------
        RefusedInputError
            The region has more pixels at that mpp than memory is meant for.
        """
        margin = round(MARGIN_UM / mpp)
        seen = _at(region, self.fixed.info.mpp / mpp).grow(margin)
        _check_size(seen)
        warp = self._warp_at(mpp)
        other = _around(warp.map_points(_rim(seen)), margin)
        _check_size(other)
        local = _localised(warp, seen, other)
        here, there = (
            section_of(slide.read(box, mpp), mpp) for slide, box in ((self.fixed, seen), (self.moving, other))
        )
        refined = refine_field(here, there, local, self.registration.mpp / mpp)
        scales = (mpp / self.fixed.info.mpp, mpp / self.moving.info.mpp)
        return RegionRegistration(region, mpp, refined, (seen.x, seen.y), (other.x, other.y), *scales)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; pixels are those of the pictures registered, and the scales lead to level 0."""
        scales = {"fixed_level0_px_per_px": self.fixed_scale, "moving_level0_px_per_px": self.moving_scale}
        return self.registration.as_dict() | scales

    def _warp_at(self, mpp: float) -> Warp:
        scale = self.registration.mpp / mpp
        return Warp(self.registration.pose.scaled(scale), self.registration.field.scaled(scale))


def register_slides(
    fixed: Slide, moving: Slide, mpp: float = MPP, kind: PoseKind = "affine", flips: bool = False
) -> SlideRegistration:
    """Where level-0 points of `fixed` lie on `moving`; both are read whole, at `mpp` or coarser where too large.

    Raises
    ------
    RegistrationFailedError
        A slide is blank or too small.
    """
    mpp = working_mpp(fixed, moving, mpp)
    return SlideRegistration(
        register(read_whole(fixed, mpp), read_whole(moving, mpp), mpp, kind=kind, flips=flips), fixed, moving
    )


def working_mpp(fixed: Slide, moving: Slide, mpp: float) -> float:
    """`mpp`, never finer than a slide's own and coarser where a picture would exceed `MAX_PX`."""
    areas = [slide.info.width_px * slide.info.height_px * slide.info.mpp**2 for slide in (fixed, moving)]
    return max(mpp, fixed.info.mpp, moving.info.mpp, math.sqrt(max(areas) / MAX_PX))


def read_whole(slide: Slide, mpp: float) -> RGB:
    """The whole slide at `mpp`, read in strips."""
    width, height = frame_size(slide.info, mpp)
    rgb = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, STRIP_ROWS):
        rows = min(STRIP_ROWS, height - top)
        rgb[top : top + rows] = slide.read(Box(0, top, width, rows), mpp)
    return rgb


def _check_size(box: Box) -> None:
    if box.width * box.height > MAX_REGION_PX:
        raise RefusedInputError(
            f"The region has {box.width} x {box.height} px with its margin; {MAX_REGION_PX} px are the most.",
            "Give a smaller region or a coarser mpp.",
        )


def _at(box: Box, scale: float) -> Box:
    """The smallest box in px `scale` to one that holds this one."""
    left, top = math.floor(box.x * scale), math.floor(box.y * scale)
    return Box(left, top, math.ceil(box.right * scale) - left, math.ceil(box.bottom * scale) - top)


def _rim(box: Box) -> Points:
    """Points along the sides of a box."""
    along = np.linspace(0, 1, 33)
    x, y = box.x + along * box.width, box.y + along * box.height
    sides = [
        (x, np.full(33, box.y)),
        (x, np.full(33, box.bottom)),
        (np.full(33, box.x), y),
        (np.full(33, box.right), y),
    ]
    return np.concatenate([np.column_stack(side) for side in sides])


def _around(points: Points, margin_px: int) -> Box:
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int)
    return Box(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])).grow(margin_px)


def _localised(warp: Warp, fixed: Box, moving: Box) -> Warp:
    """The warp between two windows."""
    corner = np.array([[fixed.x, fixed.y]], dtype=np.float64)
    start = warp.pose.map_points(corner)[0] - (moving.x, moving.y)
    pose = Pose(np.column_stack([warp.pose.matrix[:, :2], start]))
    places, grid = nodes((fixed.height, fixed.width), NODE_PX)
    bend = warp.map_points(places + corner) - warp.pose.map_points(places + corner)
    return Warp(pose, Field(bend[:, 0].reshape(grid), bend[:, 1].reshape(grid), NODE_PX))
