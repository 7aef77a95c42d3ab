"""Mitotic figures by phase, and what is mistaken for them."""

import numpy as np
from numpy.typing import NDArray

from training.phantom.nucleus import Nuclei

Map = NDArray[np.float32]
PLATE_UM = 1.35
"""Half thickness of a chromosome plate seen from its edge."""


def draw_figure(nucleus: Nuclei, u: Map, v: Map, threads: Map) -> tuple[Map, Map, Map]:
    """Distance inside (um), chromatin and aura of one special nucleus; all (h, w), in its own axes (um).

    Parameters
    ----------
    nucleus
        One row.
    threads
        Ridged noise of unit spread: what makes chromosome arms stick out.
    """
    major, minor = float(nucleus.major[0]), float(nucleus.minor[0])
    dark = float(nucleus.dark[0])
    phase, lookalike = int(nucleus.phase[0]), int(nucleus.lookalike[0])
    radius = np.sqrt(u * u + v * v)
    if phase == 1:
        inside = _ellipse(u, v, major, minor) + 0.35 * threads
        chromatin = dark * (0.55 + 0.45 * np.clip(threads, -1.2, 1.2))
        return inside, chromatin, -0.25 * _near(radius, 8.0)
    if phase == 2:
        return _ragged(_metaphase(u, v, (major, minor)), dark, threads, 0.55), _solid(dark, threads), _clear(radius)
    if phase in (3, 4):
        plates = _two_plates(u, v, major, minor)
        return _ragged(plates, dark, threads, 0.4), _solid(dark, threads), _clear(radius)
    if lookalike == 1:
        inside = _fragments(nucleus, u, v)
        return inside, np.full_like(u, dark), _dying(radius)
    inside = _ellipse(u, v, major, minor) + 0.25 * np.sin(3 * np.arctan2(v, u))
    pink = 0.35 * _near(radius, 6.0) if lookalike == 2 else np.zeros_like(u)
    return inside.astype(np.float32), dark * (1.0 + float(nucleus.coarse[0]) * threads), pink


def _ellipse(u: Map, v: Map, major: float, minor: float) -> Map:
    ru, rv = u / major, v / minor
    radius = np.sqrt(ru * ru + rv * rv) + np.float32(1e-6)
    slope = np.sqrt((ru / major) ** 2 + (rv / minor) ** 2) / radius
    inside: Map = (1.0 - radius) / slope
    return inside


def _metaphase(u: Map, v: Map, axes: tuple[float, float]) -> Map:
    """A plate from its edge; where the figure is round, a ring seen from the pole."""
    major, minor = axes
    if minor > 3.0:
        radius = np.sqrt(u * u + v * v)
        ring: Map = 1.7 - np.abs(radius - 0.62 * major)
        return ring
    bend = v + 0.05 * (u * u) / major
    return _capsule(u, bend, major, min(minor, PLATE_UM))


def _two_plates(u: Map, v: Map, major: float, minor: float) -> Map:
    apart = max(minor - PLATE_UM, 1.5)
    bow = 0.07 * u * u
    upper = _capsule(u, v - apart + bow, major, PLATE_UM)
    lower = _capsule(u, v + apart - bow, major, PLATE_UM)
    return np.maximum(upper, lower)


def _capsule(u: Map, v: Map, half_length: float, half_width: float) -> Map:
    past = np.maximum(np.abs(u) - (half_length - half_width), 0.0)
    inside: Map = (half_width - np.sqrt(past * past + v * v)).astype(np.float32)
    return inside


def _ragged(inside: Map, dark: float, threads: Map, by_um: float) -> Map:
    """An edge with arms: no smooth outline where chromosomes end."""
    edge: Map = inside + np.float32(by_um * min(dark, 1.6) / 1.6) * threads
    return edge


def _solid(dark: float, threads: Map) -> Map:
    solid: Map = dark * (1.0 + 0.14 * threads)
    return solid


def _fragments(nucleus: Nuclei, u: Map, v: Map) -> Map:
    """Smooth dark balls: one large, up to four small around it."""
    major = float(nucleus.major[0])
    inside = _ellipse(u, v, major, float(nucleus.minor[0]))
    numbers = np.random.Generator(np.random.Philox(key=int(nucleus.grain[0])))
    for _ in range(int(numbers.integers(0, 5))):
        angle, far, size = numbers.uniform(0, 2 * np.pi), numbers.uniform(1.25, 1.9) * major, numbers.uniform(0.4, 1.1)
        distance = np.sqrt((u - far * np.cos(angle)) ** 2 + (v - far * np.sin(angle)) ** 2)
        inside = np.maximum(inside, size - distance)
    return inside.astype(np.float32)


def _near(radius: Map, reach_um: float) -> Map:
    near: Map = np.clip(1.0 - radius / reach_um, 0.0, 1.0)
    return near


def _clear(radius: Map) -> Map:
    """The dividing cell: round, its cytoplasm paler."""
    pale: Map = -0.4 * np.clip((7.5 - radius) / 2.0, 0.0, 1.0)
    return pale


def _dying(radius: Map) -> Map:
    """The dying cell: shrunken and pink, in a clear halo."""
    pink = np.clip((4.6 - radius) / 1.0, 0.0, 1.0)
    halo = np.clip(1.0 - np.abs(radius - 6.2) / 1.5, 0.0, 1.0)
    aura: Map = 0.9 * pink - 1.0 * halo
    return aura
