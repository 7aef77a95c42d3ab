"""The contact sheet of the detections in hotspots: the most certain ones, read from the slide."""

from collections.abc import Sequence
from pathlib import Path

from workers.engine.hotspot import FoundHotspot
from workers.geometry import Box
from workers.measures.points import Point
from workers.outputs.figures import FIELD_UM, Figure, FigureRow, write_figures
from workers.outputs.place import Place
from workers.slides import Slide

MOST_CERTAIN = 10
"""So many of each hotspot are shown."""


def write_sheet(
    path: Path, slide: Slide, hotspots: Sequence[FoundHotspot], place: Place, *, mpp: float, title: str
) -> None:
    """Write the ten most certain detections of each hotspot, with probability and place in level-0 px, as a PNG.

    Parameters
    ----------
    hotspots
        At least one.
    place
        Of the map that the detections lie on.
    mpp
        Of the frame the network saw, which the pictures are read at.
    """
    rows = [_row(rank, hotspot, slide, place, mpp) for rank, hotspot in enumerate(hotspots, start=1)]
    write_figures(path, rows, f"{title}: most certain of each hotspot (probability; x, y in px)")


def _row(rank: int, hotspot: FoundHotspot, slide: Slide, place: Place, mpp: float) -> FigureRow:
    disc = hotspot.disc
    x, y = (round(value / place.level0_mpp) for value in (disc.x_um, disc.y_um))
    more = "" if rank == 1 else " that no circle before holds"
    title = f"hotspot {rank}: {disc.count} in the circle around {x}, {y}{more}"
    return FigureRow(title, [_figure(point, slide, place, mpp) for point in hotspot.points[:MOST_CERTAIN]])


def _figure(point: Point, slide: Slide, place: Place, mpp: float) -> Figure:
    side_px, scale = max(1, round(FIELD_UM / mpp)), place.mpp / mpp
    left, top = (round(value * scale - side_px / 2) for value in (point.x, point.y))
    pixels = slide.read(Box(left, top, side_px, side_px), mpp)
    x, y = round(point.x * place.scale), round(point.y * place.scale)
    return Figure(pixels, (f"{point.probability:.3f}", f"{x}, {y}"))
