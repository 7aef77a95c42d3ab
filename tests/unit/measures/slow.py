"""Slow references on whole images."""

import numpy as np
from scipy import ndimage
from skimage.measure import label


def disc(radius):
    """The pixels within a radius of the middle one."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius


def slow_components(mask, grow_px):
    """{first pixel: (component, grown and filled component)} of each 4-connected component."""
    labels = label(mask, connectivity=1)
    found = {}
    for index in range(1, labels.max() + 1):
        alone = labels == index
        y, x = np.argwhere(alone)[0]
        found[int(x), int(y)] = alone, ndimage.binary_fill_holes(ndimage.binary_dilation(alone, disc(grow_px)))
    return found


def fill_outline(outline, shape):
    """The pixels inside of an outline along pixel edges, by counting the vertical edges to the left."""
    edges = np.zeros((shape[0], shape[1] + 1), dtype=int)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        assert (x0 == x1) != (y0 == y1), "an edge of the exact outline is neither horizontal nor vertical"
        if x0 == x1:
            edges[min(y0, y1) : max(y0, y1), x0] += 1
    return (np.cumsum(edges, axis=1)[:, :-1] % 2).astype(bool)


def signed_area(outline):
    """Twice the area by the shoelace formula; positive where it runs clockwise on the screen (y down)."""
    x, y = outline[:, 0].astype(int), outline[:, 1].astype(int)
    return int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def is_simple(outline):
    """True where no two edges of a ring meet except neighbours at their common corner; whole numbers, so exact."""
    points = [tuple(map(int, p)) for p in outline]
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    count = len(edges)
    if len(set(points)) != count:
        return False
    pairs = ((i, j) for i in range(count) for j in range(i + 1, count))
    return not any(_meet(*edges[i], *edges[j]) for i, j in pairs if j - i not in (1, count - 1))


def _side(a, b, c):
    return int(np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])))


def _on(a, b, c):
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _meet(a, b, c, d):
    sides = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(side == 0 and _on(*end) for side, end in zip(sides, ends, strict=True))
