"""The outline of a nucleus: an ellipse with harmonics, in closed form, for drawing and for the truth."""

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats
from training.phantom.nucleus import Nuclei

VERTICES = 24


def outlines_um(nuclei: Nuclei, vertices: int = VERTICES) -> Floats:
    """Points of the outlines relative to the centres, in um; (n, vertices, 2).

    Of a mitosis, the ellipse around the figure; of fragments, the ellipse around the largest.
    """
    angle = np.linspace(0.0, 2 * np.pi, vertices, endpoint=False)
    order = np.arange(2, 6)[:, None]
    radius = 1.0 + nuclei.waves[:, 0] @ np.cos(order * angle) + nuclei.waves[:, 1] @ np.sin(order * angle)
    u, v = radius * np.cos(angle) * nuclei.major[:, None], radius * np.sin(angle) * nuclei.minor[:, None]
    cos, sin = np.cos(nuclei.angle)[:, None], np.sin(nuclei.angle)[:, None]
    return np.stack([u * cos - v * sin, u * sin + v * cos], axis=-1)


def areas_um2(outlines: Floats) -> Floats:
    """Areas of polygons (n, vertices, 2), by the shoelace formula."""
    x, y = outlines[..., 0], outlines[..., 1]
    area: Floats = np.abs((x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1)) / 2
    return area


def distance_inside(
    u: NDArray[np.float32], v: NDArray[np.float32], shape: tuple[Floats, Floats, Floats]
) -> NDArray[np.float32]:
    """Distance from the outline, positive inside, about in um, for points (n, h, w) in the nuclei's own axes.

    First order: the implicit function over the length of its slope, which is exact on the outline.
    `shape` is major and minor half axes (n,) and waves (n, 2, 4).
    """
    major, minor, waves = (s.astype(np.float32) for s in shape)
    a, b = major[:, None, None], minor[:, None, None]
    pu, pv = u / a, v / b
    radius = np.sqrt(pu * pu + pv * pv) + np.float32(1e-6)
    c1, s1 = pu / radius, pv / radius
    edge = np.ones_like(radius)
    c, s = c1, s1
    for k in range(4):
        c, s = c * c1 - s * s1, s * c1 + c * s1
        edge += waves[:, 0, k, None, None] * c + waves[:, 1, k, None, None] * s
    slope = np.sqrt((c1 / a) ** 2 + (s1 / b) ** 2)
    inside: NDArray[np.float32] = (edge - radius) / slope
    return inside
