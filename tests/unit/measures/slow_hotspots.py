"""The densest disc the slow way: every crossing of two circles, every point, every lowest point."""

import math
from itertools import combinations

SLACK = 1e-9


def slow_densest(points: list[tuple[float, float]], radius: float) -> int:
    """The most points that a closed disc of that radius holds; 0 where there is none."""
    centres = [*points, *((x, y - radius) for x, y in points)]
    for (ax, ay), (bx, by) in combinations(points, 2):
        apart = math.dist((ax, ay), (bx, by))
        if 0 < apart <= 2 * radius * (1 + SLACK):
            away = math.sqrt(max(0.0, radius**2 - (apart / 2) ** 2)) / apart
            mx, my = (ax + bx) / 2, (ay + by) / 2
            centres += [(mx + s * (by - ay) * away, my - s * (bx - ax) * away) for s in (-1, 1)]
    return max((sum(math.dist(c, p) <= radius * (1 + SLACK) for p in points) for c in centres), default=0)


def slow_enclosing_radius(points: list[tuple[float, float]]) -> float:
    """The radius of the smallest disc around points: of every disc on two or three of them that holds all."""
    radii = [0.0] if len(set(points)) == 1 else []
    for (ax, ay), (bx, by) in combinations(points, 2):
        radii += _holding(points, ((ax + bx) / 2, (ay + by) / 2), math.dist((ax, ay), (bx, by)) / 2)
    for a, b, c in combinations(points, 3):
        turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if abs(turn) < 1e-9:
            continue
        squares = [x * x + y * y for x, y in (a, b, c)]
        x = (squares[0] * (b[1] - c[1]) + squares[1] * (c[1] - a[1]) + squares[2] * (a[1] - b[1])) / (2 * turn)
        y = (squares[0] * (c[0] - b[0]) + squares[1] * (a[0] - c[0]) + squares[2] * (b[0] - a[0])) / (2 * turn)
        radii += _holding(points, (x, y), math.dist((x, y), a))
    return min(radii)


def _holding(points: list[tuple[float, float]], centre: tuple[float, float], radius: float) -> list[float]:
    return [radius] if all(math.dist(centre, p) <= radius * (1 + 1e-9) for p in points) else []
