"""The first pose: every turn is tried, and for each turn every shift, by masked cross-correlation.

References
----------
Padfield, Masked object registration in the Fourier domain, IEEE TIP, 2012, doi 10.1109/TIP.2011.2181402.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from workers.registration.maps import Points, Pose, Warp, sample
from workers.registration.structure import Floats, Section, coarser

COARSE_PX, FINE_PX = 128, 256
"""Longest side of the pictures that all turns, and the best turns, are tried at."""
TURN_DEG, FINE_DEG = 4.0, 1.0
CANDIDATES = 6
LEAST_COMMON = 0.3
"""Part of the smaller picture that both must show."""
FLAT = 1e-4
"""Variance of density, relative to the densest places, below which a part is flat and correlates with anything."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A pose at full resolution, and how well it correlates."""

    pose: Pose
    score: float
    turn_deg: float
    flipped: bool


def search_pose(fixed: Section, moving: Section, flips: bool = False) -> list[Candidate]:
    """Candidates for the pose, the best first."""
    turns = [(turn, flip) for flip in ((False, True) if flips else (False,)) for turn in np.arange(0, 360, TURN_DEG)]
    coarse = _try_turns(fixed, moving, turns, COARSE_PX)
    fine: list[Candidate] = []
    for kept in _apart(coarse, 2 * TURN_DEG)[:CANDIDATES]:
        near = kept.turn_deg + np.arange(-TURN_DEG / 2 - FINE_DEG, TURN_DEG / 2 + FINE_DEG + 0.1, FINE_DEG)
        fine += _apart(_try_turns(fixed, moving, [(turn, kept.flipped) for turn in near], FINE_PX), 360.0)
    return sorted(fine, key=lambda c: -c.score)


def _apart(found: list[Candidate], least_deg: float) -> list[Candidate]:
    """The best candidates no two of which are nearer than `least_deg` in turn."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda c: -c.score):
        if all(one.flipped != k.flipped or _between(one.turn_deg, k.turn_deg) > least_deg for k in kept):
            kept.append(one)
    return kept


def _between(a_deg: float, b_deg: float) -> float:
    return abs((a_deg - b_deg + 180.0) % 360.0 - 180.0)


def _try_turns(fixed: Section, moving: Section, turns: list[tuple[float, bool]], side_px: int) -> list[Candidate]:
    """One candidate for each turn: the shift that correlates best."""
    factor = max(1, -(-max(*fixed.shape, *moving.shape) // side_px))
    still, other = (_picture(coarser(section, factor)) for section in (fixed, moving))
    canvas = int(np.ceil(np.hypot(*other.shape)))
    size = fft.next_fast_len(canvas + max(still.shape), real=True)
    seen = _spectra(still, np.ones_like(still), size)
    smaller_px = min(still.size, other.size)
    found = []
    for turn, flip in turns:
        pose = _turned(turn, flip, other.shape, canvas)
        image = sample(other, Warp(pose), (canvas, canvas))
        inside = sample(np.ones_like(other), Warp(pose), (canvas, canvas)) > 0.99
        score, shift = _best_shift(seen, _spectra(image * inside, inside.astype(np.float32), size), size, smaller_px)
        moved = Pose(np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]]))
        found.append(Candidate(pose.after(moved).scaled(factor), score, turn % 360.0, flip))
    return found


def _picture(section: Section) -> Floats:
    """Density that a few very dark places do not rule."""
    top = max(float(np.percentile(section.density, 98)), 1e-3)
    return np.asarray(ndimage.gaussian_filter(np.clip(section.density / top, 0, 1), 1.0))


def _turned(turn_deg: float, flip: bool, shape: tuple[int, ...], canvas: int) -> Pose:
    """From a square canvas to the picture turned about its centre."""
    angle, side = np.deg2rad(turn_deg), -1.0 if flip else 1.0
    linear = np.array([[side * np.cos(angle), -side * np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([shape[1], shape[0]]) / 2
    return Pose(np.column_stack([linear, centre - linear @ np.full(2, canvas / 2)]))


def _spectra(image: Floats, mask: Floats, size: int) -> tuple[NDArray[np.complex64], ...]:
    return tuple(fft.rfft2(part, (size, size), workers=2) for part in (mask, image, image * image))


def _best_shift(
    fixed: tuple[NDArray[np.complex64], ...], other: tuple[NDArray[np.complex64], ...], size: int, smaller_px: int
) -> tuple[float, Points]:
    """The highest masked correlation, weighed by the root of the common part, and the shift from fixed to canvas px."""

    def products(a: int, b: int) -> Points:
        return np.asarray(fft.irfft2(np.conj(fixed[a]) * other[b], (size, size), workers=2), dtype=np.float64)

    common = np.maximum(products(0, 0), 1.0)
    fixed_sum, other_sum = products(1, 0), products(0, 1)
    both = products(1, 1) - fixed_sum * other_sum / common
    spread = (products(2, 0) - fixed_sum**2 / common) * (products(0, 2) - other_sum**2 / common)
    usable = (common > LEAST_COMMON * smaller_px) & (spread > FLAT**2 * common**2)
    scores = np.where(usable, both / np.sqrt(np.maximum(spread, 1e-9)) * np.sqrt(common / smaller_px), -1.0)
    y, x = np.unravel_index(int(scores.argmax()), scores.shape)
    shift = np.array([x if x <= size // 2 else x - size, y if y <= size // 2 else y - size], dtype=np.float64)
    return float(scores[y, x]), shift
