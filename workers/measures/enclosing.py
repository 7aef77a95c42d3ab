"""The smallest disc around points."""

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Disc = tuple[float, float, float]

ROUNDING = 1e-12
"""Part of the radius by which a point may lie outside."""


def enclosing_disc(points: Points) -> Disc:
    """(x, y, radius) of the smallest disc that holds all points, in their unit.

    The disc around a few points grows by the point that lies furthest outside until there is none.

    Parameters
    ----------
    points
        (n, 2), at least one.

    References
    ----------
    Gaertner 1999 (the point furthest outside comes next), doi:10.1007/3-540-48481-7_29.
    """
    rim = [tuple(points[0].tolist())]
    x, y, radius = _around(rim)
    while True:
        gaps = np.hypot(points[:, 0] - x, points[:, 1] - y)
        furthest = int(gaps.argmax())
        if gaps[furthest] <= radius * (1 + ROUNDING):
            return x, y, radius
        rim, disc = _smallest([*rim, tuple(points[furthest].tolist())])
        if disc[2] <= radius:
            return x, y, float(gaps[furthest])
        x, y, radius = disc


def _smallest(points: list[tuple[float, ...]]) -> tuple[list[tuple[float, ...]], Disc]:
    """The smallest disc around up to four points, and those of them that it rests on."""
    discs = [(list(some), _around(list(some))) for size in (2, 3) for some in combinations(points, size)]
    whole = [
        (some, disc)
        for some, disc in discs
        if all(math.hypot(px - disc[0], py - disc[1]) <= disc[2] * (1 + ROUNDING) for px, py in points)
    ]
    return min(whole or discs, key=lambda found: found[1][2])


def _around(rim: list[tuple[float, ...]]) -> Disc:
    """The disc with one, two or three points on its rim; three on a line have none that counts."""
    if len(rim) == 1:
        return rim[0][0], rim[0][1], 0.0
    (ax, ay), (bx, by) = rim[0], rim[1]
    if len(rim) == 2:
        return (ax + bx) / 2, (ay + by) / 2, math.hypot(bx - ax, by - ay) / 2
    ux, uy, vx, vy = bx - ax, by - ay, rim[2][0] - ax, rim[2][1] - ay
    twice = 2 * (ux * vy - uy * vx)
    if not twice:
        return ax, ay, math.inf
    u, v = ux * ux + uy * uy, vx * vx + vy * vy
    x, y = (vy * u - uy * v) / twice, (ux * v - vx * u) / twice
    return ax + x, ay + y, math.hypot(x, y)
