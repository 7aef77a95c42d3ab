"""Both sections at one of several resolutions, each half as fine as the one before."""

from dataclasses import dataclass

from workers.registration.structure import Floats, Section, coarser, structure

JUDGE_SIDE_PX = 256
"""Longest side of the pictures that a registration is judged at: what differs between sections is smaller."""


@dataclass(frozen=True, eq=False)
class Level:
    """Both sections at one resolution, and their structure."""

    fixed: Section
    moving: Section
    still: Floats
    other: Floats
    factor: int
    """Pixels of the sections given per pixel of this level."""


def level_of(fixed: Section, moving: Section, factor: int) -> Level:
    """Both sections and their structure at `factor` times the mpp."""
    a, b = coarser(fixed, factor), coarser(moving, factor)
    return Level(a, b, structure(a), structure(b), factor)


def factor_for(fixed: Section, moving: Section, side_px: int) -> int:
    """The factor at which no side of either section exceeds `side_px`."""
    return max(1, -(-max(*fixed.shape, *moving.shape) // side_px))
