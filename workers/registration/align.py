"""One section laid onto another: a coarse pose, then a dynamic warp.

Every turn and shift is tried at low resolution; the best few are refined by matching patches and fitting a pose through
the matches that agree; the best of these is warped by a smooth field, level by level, down to the resolution given.
"""

import numpy as np
from numpy.typing import NDArray

from workers.registration.errors import RegistrationFailedError
from workers.registration.fitting import PoseKind, fit_field, fit_pose
from workers.registration.judging import judge
from workers.registration.levels import Level, factor_for, level_of
from workers.registration.maps import Field, Pose, Warp, nodes, sample
from workers.registration.matching import match_patches, patch_centres
from workers.registration.result import Registration
from workers.registration.search import search_pose
from workers.registration.structure import Section, cropped, section_of

RGB = NDArray[np.uint8]
MIN_SIDE_PX = 64
MIN_TISSUE_PART = 0.002
MIN_TISSUE_PX = 1000
POSE_SIDES_PX = (256, 512)
"""Longest side of the pictures that the pose is refined at."""
CANDIDATES = 3
"""Poses of the search that are refined: the best of them need not have been the first."""
POSE_PATCH_PX, POSE_STEP_PX, POSE_SEARCH_PX = 48, 16, 16
POSE_REACHES = (1.0, 0.75, 0.5)
"""Of the search: how far from the pose a match may lie at first, in each round."""
FIELD_PATCH_PX, FIELD_STEP_PX = 32, 12
FIELD_SEARCHES_PX = (12, 6)
STIFFNESS = 1.0
STIFFER, LEAST_AREA, TRIES = 10.0, 0.4, 3
"""A step of the field that leaves a place less than this part of its area is made stiffer, so many times."""


def register(
    fixed: RGB,
    moving: RGB,
    mpp: float,
    fixed_tissue: NDArray[np.bool_] | None = None,
    moving_tissue: NDArray[np.bool_] | None = None,
    *,
    kind: PoseKind = "affine",
    flips: bool = False,
) -> Registration:
    """Where each point of `fixed` lies in `moving`: two sections of one tissue, in any bright-field stains.

    Look at `quality.trusted` before using it: sections that do not belong together are registered too, and not trusted.

    Parameters
    ----------
    fixed, moving
        uint8 (H, W, 3), at one resolution of `mpp` um/px; their sizes may differ. 2 to 4 um/px suit whole sections.
    fixed_tissue, moving_tissue
        Where tissue is, bool (H, W); found by density where not given.
    kind
        What the pose may do: turn and shift (`rigid`), scale too (`similarity`), shear too (`affine`).
    flips
        Try mirrored sections as well.

    Raises
    ------
    RegistrationFailedError
        A picture is too small, or holds next to no tissue.
    """
    whole = (section_of(fixed, mpp, fixed_tissue), section_of(moving, mpp, moving_tissue))
    for name, section in zip(("fixed", "moving"), whole, strict=True):
        _check(name, section)
    (a, a_corner), (b, b_corner) = (cropped(section) for section in whole)
    pose = _find_pose(a, b, kind, flips)
    warp = refine_field(a, b, Warp(pose), factor_for(a, b, POSE_SIDES_PX[0]))
    quality = judge(a, b, warp)
    placed = _placed(warp, a_corner, b_corner, whole[0].shape)
    return Registration(placed.pose, placed.bend, mpp, whole[0].shape, whole[1].shape, quality)


def refine_field(fixed: Section, moving: Section, warp: Warp, coarsest: float) -> Warp:
    """The warp refined at `coarsest` times the sections' mpp and at each half of it, down to theirs."""
    factor = max(1, round(coarsest))
    while True:
        warp = _refine_level(level_of(fixed, moving, factor), warp)
        if factor == 1:
            return warp
        factor //= 2


def _check(name: str, section: Section) -> None:
    rows, columns = section.shape
    if min(rows, columns) < MIN_SIDE_PX:
        raise RegistrationFailedError(
            f"The {name} picture has {columns} x {rows} px.",
            f"Give at least {MIN_SIDE_PX} px on each side: a finer mpp, or a larger region.",
        )
    least_px = max(MIN_TISSUE_PX, MIN_TISSUE_PART * rows * columns)
    if section.tissue.sum() < least_px:
        raise RegistrationFailedError(
            f"The {name} picture holds {int(section.tissue.sum())} px of tissue of {rows * columns}.",
            f"At least {round(least_px)} px are needed: choose another region, or a finer mpp.",
        )


def _find_pose(fixed: Section, moving: Section, kind: PoseKind, flips: bool) -> Pose:
    """The best pose: candidates of the search, refined at the first level; the best one at the others too."""
    poses = [candidate.pose for candidate in search_pose(fixed, moving, flips)[:CANDIDATES]]
    for side_px in POSE_SIDES_PX:
        level = level_of(fixed, moving, factor_for(fixed, moving, side_px))
        poses = [_refine_pose(level, pose, kind) for pose in poses]
        if len(poses) > 1:
            poses = [max(poses, key=lambda pose: _likeness(level, pose))]
    return poses[0]


def _refine_pose(level: Level, pose: Pose, kind: PoseKind) -> Pose:
    """The pose after some rounds of matching patches."""
    centres = patch_centres(level.fixed.tissue, POSE_PATCH_PX, POSE_STEP_PX)
    here = pose.scaled(1 / level.factor)
    for reach in POSE_REACHES:
        seen = sample(level.other, Warp(here), level.still.shape)
        matches = match_patches(level.still, seen, centres, POSE_PATCH_PX, POSE_SEARCH_PX)
        here = here.after(fit_pose(matches, kind, reach * POSE_SEARCH_PX, reach * POSE_SEARCH_PX / 4))
    return here.scaled(level.factor)


def _likeness(level: Level, pose: Pose) -> float:
    seen = sample(level.other, Warp(pose.scaled(1 / level.factor)), level.still.shape)
    return float((seen * level.still)[level.fixed.tissue].mean())


def _refine_level(level: Level, warp: Warp) -> Warp:
    """The warp after some rounds of matching at one level."""
    centres = patch_centres(level.fixed.tissue, FIELD_PATCH_PX, FIELD_STEP_PX)
    here = warp.scaled(1 / level.factor)
    for search_px in FIELD_SEARCHES_PX:
        seen = sample(level.other, here, level.still.shape)
        matches = match_patches(level.still, seen, centres, FIELD_PATCH_PX, search_px)
        for stiff in STIFFNESS * STIFFER ** np.arange(TRIES):
            step = fit_field(matches, (level.still.shape, FIELD_STEP_PX), stiff, (search_px, search_px / 6))
            further = bent(here, step, level.still.shape)
            if further.least_area(level.still.shape) >= LEAST_AREA:
                here = further
                break
    return here.scaled(level.factor)


def bent(warp: Warp, step: Field, shape: tuple[int, int]) -> Warp:
    """The warp after a step within the fixed frame, as the same pose and one field."""
    places, grid = nodes(shape, step.spacing_px)
    total = warp.map_points(places + step.at(places)) - warp.pose.map_points(places)
    return Warp(warp.pose, Field(total[:, 0].reshape(grid), total[:, 1].reshape(grid), step.spacing_px))


def _placed(warp: Warp, fixed_corner: tuple[int, int], moving_corner: tuple[int, int], shape: tuple[int, int]) -> Warp:
    """The warp between crops as one between the whole pictures."""
    back = Pose(np.column_stack([np.eye(2), -np.array(fixed_corner, dtype=np.float64)]))
    there = Pose(np.column_stack([np.eye(2), np.array(moving_corner, dtype=np.float64)]))
    places, grid = nodes(shape, warp.bend.spacing_px)
    bend = warp.bend.at(back.map_points(places))
    field = Field(bend[:, 0].reshape(grid), bend[:, 1].reshape(grid), warp.bend.spacing_px)
    return Warp(there.after(warp.pose).after(back), field)
