"""Whether a registration can be believed: patches looked for anew, likeness, and the shape of the map.

Any two tissues can be laid onto each other so that something matches. What unrelated tissue cannot do is match where
the map says in many places at once: a patch found by chance lies within `NEAR_PX` of its place in 4.5 % of cases. The
bounds lie between what was measured on related and on unrelated pairs (docs/registration.md).
"""

from collections.abc import Iterator

import numpy as np

from workers.registration.levels import JUDGE_SIDE_PX, Level, factor_for, level_of
from workers.registration.maps import Field, Pose, Warp, sample
from workers.registration.matching import match_patches, patch_centres
from workers.registration.result import Quality
from workers.registration.structure import Floats, Mask, Section

PATCH_PX, STEP_PX, OFFSET_PX = 32, 16, 7
"""Patches stand elsewhere than those the field was fitted through."""
SEARCH_PX, NEAR_PX = 12, 3.0
MIN_AGREEING = 0.3
MIN_PATCHES = 30
MIN_COMMON = 0.25
SCALES = (0.85, 1.18)
MAX_STRETCH = 1.12
"""Largest over smallest stretch of the pose: sections shrink and swell, but about alike in every direction."""
MIN_JACOBIAN = 0.4


def judge(fixed: Section, moving: Section, warp: Warp) -> Quality:
    """The quality of a map between two sections, and whether it is trusted."""
    level = level_of(fixed, moving, factor_for(fixed, moving, JUDGE_SIDE_PX))
    warps = (Warp(_centred(fixed, moving)), Warp(warp.pose), warp)
    likeness = [_likeness(level, warp) for warp in warps]
    (_, agreeing_pose), (patches, agreeing) = (_agreement(level, warp) for warp in warps[1:])
    linear = warp.pose.matrix[:, :2]
    stretches = np.linalg.svd(linear, compute_uv=False)
    reached = sample(moving.tissue.astype(np.float32), warp, fixed.shape)[fixed.tissue]
    measured = {
        "agreeing": agreeing,
        "common": float(reached.mean()) if reached.size else 0.0,
        "scale": float(np.sqrt(abs(warp.pose.area))),
        "stretch": float(stretches[0] / max(stretches[1], 1e-9)),
        "least_jacobian": warp.least_area(fixed.shape),
    }
    reasons = tuple(judge_numbers(patches, measured))
    return Quality(
        patches=patches,
        similarity_before=likeness[0],
        similarity_pose=likeness[1],
        similarity_warp=likeness[2],
        agreeing_pose=agreeing_pose,
        turn_deg=float(np.rad2deg(np.arctan2(linear[1, 0], linear[1, 1]))),
        flipped=warp.pose.area < 0,
        largest_bend_um=_largest_bend_um(warp.bend, fixed),
        trusted=not reasons,
        reasons=reasons,
        **measured,
    )


def _centred(fixed: Section, moving: Section) -> Pose:
    shift = (np.array(moving.shape[::-1]) - np.array(fixed.shape[::-1])) / 2
    return Pose(np.column_stack([np.eye(2), shift]))


def _seen(level: Level, warp: Warp) -> tuple[Floats, Mask]:
    """The moving structure in the fixed frame, and the fixed tissue that lies on the moving picture."""
    here = warp.scaled(1 / level.factor)
    inside = sample(np.ones_like(level.other), here, level.still.shape) > 0.5
    return sample(level.other, here, level.still.shape), level.fixed.tissue & inside


def _likeness(level: Level, warp: Warp) -> float:
    """Correlation of both structures over the tissue in common."""
    seen, tissue = _seen(level, warp)
    a, b = (image[tissue] - image[tissue].mean() for image in (seen, level.still)) if tissue.any() else (seen, seen)
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9)) if tissue.any() else 0.0


def _agreement(level: Level, warp: Warp) -> tuple[int, float]:
    """Patches looked for, and the part of them found near where the warp says."""
    seen, tissue = _seen(level, warp)
    centres = patch_centres(tissue, PATCH_PX, STEP_PX, OFFSET_PX)
    shifts = match_patches(level.still, seen, centres, PATCH_PX, SEARCH_PX).shifts
    near = np.hypot(shifts[:, 0], shifts[:, 1]) < NEAR_PX
    return len(centres), float(near.mean()) if len(near) else 0.0


def _largest_bend_um(field: Field, fixed: Section) -> float:
    y, x = np.nonzero(fixed.tissue[::8, ::8])
    bend = field.at(np.column_stack([x, y]).astype(np.float64) * 8.0 + 0.5)
    return float(np.hypot(bend[:, 0], bend[:, 1]).max(initial=0.0) * fixed.mpp)


def judge_numbers(patches: int, measured: dict[str, float]) -> Iterator[str]:
    """Why the map is not trusted, each with the number and the bound."""
    agreeing, common, scale = measured["agreeing"], measured["common"], measured["scale"]
    if patches < MIN_PATCHES:
        yield f"{patches} patches of tissue are in common; {MIN_PATCHES} are needed"
    if agreeing < MIN_AGREEING:
        yield f"{agreeing:.0%} of the tissue is found where the map says; {MIN_AGREEING:.0%} is the least"
    if common < MIN_COMMON:
        yield f"{common:.0%} of the fixed tissue meets tissue; {MIN_COMMON:.0%} is the least"
    if not SCALES[0] <= scale <= SCALES[1]:
        yield f"the scale is {scale:.2f}; sections keep between {SCALES[0]} and {SCALES[1]}"
    if measured["stretch"] > MAX_STRETCH:
        yield f"one direction is stretched {measured['stretch']:.2f} times the other; {MAX_STRETCH} is the most"
    if measured["least_jacobian"] < MIN_JACOBIAN:
        yield f"the field leaves a place {measured['least_jacobian']:.2f} of its area; {MIN_JACOBIAN} is the least"
