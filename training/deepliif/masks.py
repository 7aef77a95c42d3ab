"""DeepLIIF's mask of classified cells from a map of instances: red positive, blue negative, a green boundary."""

import numpy as np
from numpy.typing import NDArray

Instances = NDArray[np.int32]
Flags = NDArray[np.bool_]
Picture = NDArray[np.uint8]

LEAST_LEFT = 0.3
"""A cell keeps at least this part of its pixels: a thin one has a thinner boundary, or none."""


def interiors(instances: Instances, boundary_px: int) -> Instances:
    """The instances without their boundaries, int32 (H, W): what lies `boundary_px` steps inside of each.

    A step goes to one of four neighbours, so that two cells which touch are parted by twice the width, and a boundary
    is closed for the eight neighbours by which DeepLIIF joins cells. The picture's edge is no boundary.
    """
    areas = np.bincount(instances.ravel(), minlength=int(instances.max(initial=0)) + 1)
    inner = instances.copy()
    for _ in range(boundary_px):
        around = np.pad(inner, 1, mode="edge")
        neighbours = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
        shrunk = np.where(np.logical_and.reduce([inner == n for n in neighbours]), inner, 0)
        too_small = np.bincount(shrunk.ravel(), minlength=len(areas)) < LEAST_LEFT * areas
        inner = np.where(too_small[inner], inner, shrunk)
    return inner


def draw_mask(instances: Instances, positive: Flags, boundary_px: int) -> Picture:
    """The mask, uint8 (H, W, 3).

    Parameters
    ----------
    instances
        0 for background, else 1 to n.
    positive
        (n,): of instance k + 1.
    """
    inner = interiors(instances, boundary_px)
    is_positive = np.concatenate([[False], positive])[inner]
    classes = np.stack([is_positive, (instances > 0) & (inner == 0), (inner > 0) & ~is_positive], axis=2)
    return classes.astype(np.uint8) * np.uint8(255)


def number_cells(instances: NDArray[np.integer]) -> tuple[Instances, NDArray[np.int64]]:
    """The same map with numbers 1 to n in place of any, and which number each had."""
    names, numbered = np.unique(instances, return_inverse=True)
    if len(names) and names[0] != 0:
        return (numbered.reshape(instances.shape) + 1).astype(np.int32), names.astype(np.int64)
    return numbered.reshape(instances.shape).astype(np.int32), names[1:].astype(np.int64)
