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
    numbers = np.random.Generator(np.random.Philox(key=int(nucleus.grain[0])))
    if int(nucleus.phase[0]):
        return _dividing(nucleus, (u, v), threads, numbers)
    return _mistaken(nucleus, (u, v), threads, numbers)


def _dividing(nucleus: Nuclei, at: tuple[Map, Map], threads: Map, numbers: np.random.Generator) -> tuple[Map, Map, Map]:
    u, v = at
    major, minor, dark = float(nucleus.major[0]), float(nucleus.minor[0]), float(nucleus.dark[0])
    phase = int(nucleus.phase[0])
    radius = np.sqrt(u * u + v * v)
    if phase == 1:
        inside = _ellipse(u, v, major, minor) + 0.6 * threads
        return _maps(inside, dark * (0.6 + 0.5 * np.clip(threads, -1.15, 1.2)), -0.25 * _near(radius, 8.0))
    v = v + numbers.uniform(-0.09, 0.09) * u * u / 2 + numbers.uniform(0.1, 0.6) * np.sin(u * numbers.uniform(0.6, 1.4))
    shape = _metaphase(u, v, (major, minor)) if phase == 2 else _two_plates(u, v, major, minor)
    ragged = shape + np.float32(numbers.uniform(0.4, 0.95)) * threads
    pale = -numbers.uniform(0.15, 0.5) * np.clip((7.5 - radius) / 2.5, 0.0, 1.0)
    return _maps(ragged, dark * (1.0 + 0.16 * threads), pale)


def _mistaken(nucleus: Nuclei, at: tuple[Map, Map], threads: Map, numbers: np.random.Generator) -> tuple[Map, Map, Map]:
    u, v = at
    major, minor, dark = float(nucleus.major[0]), float(nucleus.minor[0]), float(nucleus.dark[0])
    radius = np.sqrt(u * u + v * v)
    if int(nucleus.lookalike[0]) == 1:
        inside = _fragments(nucleus, u, v, numbers)
        return _maps(inside, dark * (1.0 + 0.06 * threads), _dying(u, v, numbers))
    lobes, turn = int(numbers.integers(2, 5)), numbers.uniform(0, 6)
    lobed = numbers.uniform(0.15, 0.6) * np.sin(lobes * np.arctan2(v, u) + turn)
    inside = _ellipse(u, v, major, minor) + lobed + 0.18 * threads
    pink = 0.45 * numbers.random() * _near(radius, 6.0)
    return _maps(inside, dark * (1.0 + float(nucleus.coarse[0]) * threads), pink)


def _maps(*maps: NDArray[np.floating]) -> tuple[Map, Map, Map]:
    inside, chromatin, aura = (m.astype(np.float32) for m in maps)
    return inside, chromatin, aura


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
        ring: Map = np.float32(1.7) - np.abs(radius - np.float32(0.62 * major))
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


def _fragments(nucleus: Nuclei, u: Map, v: Map, numbers: np.random.Generator) -> Map:
    """Smooth dark balls: one large, up to four small around it."""
    major = float(nucleus.major[0])
    inside = _ellipse(u, v, major, float(nucleus.minor[0]))
    for _ in range(int(numbers.integers(0, 5))):
        angle, far, size = numbers.uniform(0, 2 * np.pi), numbers.uniform(1.25, 1.9) * major, numbers.uniform(0.4, 1.1)
        distance = np.sqrt((u - far * np.cos(angle)) ** 2 + (v - far * np.sin(angle)) ** 2)
        inside = np.maximum(inside, size - distance)
    return inside.astype(np.float32)


def _near(radius: Map, reach_um: float) -> Map:
    near: Map = np.clip(1.0 - radius / reach_um, 0.0, 1.0)
    return near


def _dying(u: Map, v: Map, numbers: np.random.Generator) -> Map:
    """The dying cell: shrunken and pink; about half of them lie in a clear, lopsided halo."""
    x, y = u - numbers.uniform(-1.2, 1.2), v - numbers.uniform(-1.2, 1.2)
    radius = np.sqrt(x * x + y * y * numbers.uniform(0.7, 1.5))
    size, strength = numbers.uniform(3.6, 5.2), numbers.uniform(0.3, 1.0)
    pink = np.clip((size - radius) / 1.2, 0.0, 1.0) * strength
    width, open_part = numbers.uniform(0.7, 1.7), 1.0 if numbers.random() < 0.5 else 0.15
    lopsided = np.clip(0.75 + 0.5 * (x * np.cos(strength * 9) + y * np.sin(strength * 9)) / size, 0.0, 1.0)
    halo = np.clip(1.4 - np.abs(radius - size - width) / width, 0.0, 1.0) * lopsided
    aura: Map = (pink - open_part * halo).astype(np.float32)
    return aura
