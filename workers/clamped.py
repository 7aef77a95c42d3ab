"""Tiles of one side laid along an axis from 0 on, the last ones moved back to its end: no tile reads beyond it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in px: where it is read from, and what it keeps, [first, stop)."""

    start: int
    first: int
    stop: int


def clamped_starts(length_px: int, side_px: int, halo_px: int) -> tuple[int, ...]:
    """Where tiles begin along an axis, in order; the last place may stand there twice.

    Parameters
    ----------
    side_px
        Side of a tile with its halo; an axis that is not longer takes one tile.
    halo_px
        What a tile drops on each side, but at the ends of the axis.
    """
    if length_px <= side_px:
        return (0,)
    return tuple(min(start, length_px - side_px) for start in range(0, length_px, side_px - 2 * halo_px))


def clamped_spans(length_px: int, side_px: int, halo_px: int) -> tuple[Span, ...]:
    """The distinct tiles along an axis, in order; what they keep partitions it.

    Of two tiles that could keep a pixel the later one does, as if each were written over those before it.
    """
    starts = tuple(dict.fromkeys(clamped_starts(length_px, side_px, halo_px)))
    firsts = tuple(start + halo_px if start else 0 for start in starts)
    stops = (*firsts[1:], length_px)
    return tuple(Span(*ends) for ends in zip(starts, firsts, stops, strict=True))
