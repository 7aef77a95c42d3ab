"""The classified cells of an IHC mask as pictures: as dots over the whole slide, and outlined in the hottest field."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workers.deepliif.cells import Cells, find_cells
from workers.deepliif.pictures import draw_borders, overlay
from workers.deepliif.scoring import Score, score_cells
from workers.deepliif.thresholds import Thresholds
from workers.engine.ihc import IhcFound
from workers.geometry import Box, Frame
from workers.measures.ihc_cells import LARGEST_PX, margin_of
from workers.outputs.circles import draw_circle
from workers.outputs.ihc_table import BANDS, COLOURS, read_counted
from workers.outputs.maps import MapSpec, read_box
from workers.outputs.overview import picture_mpp
from workers.outputs.picture import RGB, Caption, resize, write_picture
from workers.outputs.place import Place, place_of
from workers.slides import Slide, frame_size

FIELD_PX = 1024
"""Longest side of the field that is shown, map px."""
MARGIN = 1.1
"""Of the field's radius, so that its circle is seen."""
DOT_UM = 3.0
"""Side of a cell's dot, where the picture is fine enough."""
CIRCLE = (20, 20, 20)
BORDERS = {"positive": (255, 0, 0), "negative": (0, 0, 255)}

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IhcCanvas:
    """What the cells are drawn on."""

    slide: Slide
    maps: Path
    spec: MapSpec
    """Of the mask."""
    frame: Frame
    title: str
    reference: str
    """Of the package, for pictures too narrow for the title."""

    @property
    def place(self) -> Place:
        """Of the mask."""
        return place_of(self.frame, self.spec.stride_px)


def write_ihc_pictures(canvas: IhcCanvas, found: IhcFound, out: Path, stem: str) -> tuple[Path, ...]:
    """`overview-<stem>.png` with a dot for each cell that counts, and `detail-<stem>.png` of the hottest field.

    Where there are too few cells for a field, the detail shows the middle of the cells.
    """
    overview, detail = out / f"overview-{stem}.png", out / f"detail-{stem}.png"
    _write_overview(canvas, found, overview)
    centre = _centre(canvas, found)
    if centre is None:
        return (overview,)
    _write_detail(canvas, found, _field_box(canvas, found, centre), detail)
    return (overview, detail)


def _write_overview(canvas: IhcCanvas, found: IhcFound, path: Path) -> None:
    mpp = picture_mpp(canvas.spec, canvas.frame)
    frame = canvas.frame
    width, height = math.ceil(frame.width_px * frame.mpp / mpp), math.ceil(frame.height_px * frame.mpp / mpp)
    read_mpp = max(mpp, frame.mpp)
    pixels = resize(canvas.slide.read(Box(0, 0, *frame_size(canvas.slide.info, read_mpp)), read_mpp), width, height)
    pixels = _paler(pixels)
    dot_px = max(1, round(DOT_UM / mpp))
    shown = set()
    for kinds, xs, ys in _dots(found.table, mpp):
        for kind in np.unique(kinds).tolist():
            shown.add(kind)
            _paint(pixels, xs[kinds == kind], ys[kinds == kind], dot_px, COLOURS[kind])
    for disc in _discs(found):
        scale = frame.level0_mpp / mpp
        centre = (disc["x_px"] * scale, disc["y_px"] * scale)
        pixels = draw_circle(pixels, centre, disc["radius_px"] * scale, CIRCLE, max(1, width // 700))
    legend = [(_name(kind), COLOURS[kind]) for kind in BANDS if kind in shown]
    write_picture(path, pixels, Caption(f"{canvas.title}: {_numbers(found)}", legend, mpp))


def _paler(pixels: RGB) -> RGB:
    """Half as strong, so that dots stand out on what they lie on."""
    return np.asarray(128 + pixels // 2, dtype=np.uint8)


def _dots(table: Path, mpp: float) -> Iterator[tuple[NDArray[Any], Ints, Ints]]:
    """(band, x, y) of the cells that count, in px of a picture of that mpp."""
    for rows in read_counted(table, ["x_um", "y_um", "class", "band", "counted"]):
        positive = rows["class"].cast(pa.string()).to_numpy(zero_copy_only=False) == "positive"
        bands = rows["band"].cast(pa.string())
        kinds = (
            np.where(positive, "3+", "0") if bands.null_count else bands.to_numpy(zero_copy_only=False).astype("<U2")
        )
        xs, ys = ((rows[name].to_numpy() / mpp).astype(np.int64) for name in ("x_um", "y_um"))
        yield kinds, xs, ys


def _paint(pixels: RGB, xs: Ints, ys: Ints, side_px: int, colour: tuple[int, int, int]) -> None:
    height, width = pixels.shape[:2]
    for dy in range(side_px):
        for dx in range(side_px):
            y, x = np.clip(ys + dy - side_px // 2, 0, height - 1), np.clip(xs + dx - side_px // 2, 0, width - 1)
            pixels[y, x] = colour


def _discs(found: IhcFound) -> list[dict[str, Any]]:
    fields = found.scores["cell_fields"]
    return [fields[name] for name in ("densest", "hottest") if fields[name] is not None]


def _centre(canvas: IhcCanvas, found: IhcFound) -> tuple[float, float] | None:
    """Where to look, in map px."""
    hottest = found.scores["cell_fields"]["hottest"]
    if hottest is not None:
        return hottest["x_px"] / canvas.place.scale, hottest["y_px"] / canvas.place.scale
    total = np.zeros(3)
    for rows in read_counted(found.table, ["x_px", "y_px", "counted"]):
        total += (rows["x_px"].to_numpy().sum(), rows["y_px"].to_numpy().sum(), len(rows))
    if not total[2]:
        return None
    return float(total[0] / total[2] / canvas.place.scale), float(total[1] / total[2] / canvas.place.scale)


def _field_box(canvas: IhcCanvas, found: IhcFound, centre: tuple[float, float]) -> Box:
    """A square around a place, as large as the field, but within the map and the limit."""
    hottest, spec = found.scores["cell_fields"]["hottest"], canvas.spec
    wanted = FIELD_PX if hottest is None else math.ceil(2 * MARGIN * hottest["radius_px"] / canvas.place.scale)
    side = min(wanted, FIELD_PX, spec.width_px, spec.height_px)
    limits = (spec.width_px, spec.height_px)
    x, y = (max(0, min(round(value - side / 2), limit - side)) for value, limit in zip(centre, limits, strict=True))
    return Box(x, y, side, side)


def _write_detail(canvas: IhcCanvas, found: IhcFound, box: Box, path: Path) -> None:
    spec, told = canvas.spec, found.scores["ihc_thresholds"]
    # With a margin: cells that the field cuts are judged whole.
    window = box.grow(margin_of(LARGEST_PX)).intersect(Box(0, 0, spec.width_px, spec.height_px))
    mask = np.ascontiguousarray(read_box(canvas.maps, spec, window).transpose(1, 2, 0))
    pixels = canvas.slide.read(window, canvas.place.mpp)
    thresholds = Thresholds(
        seg=told["seg"],
        green=told["green"],
        noise_px=told["noise_px"],
        size_px=told["size_px"],
        size_upper_px=told["size_upper_px"],
    )
    cells, labels = find_cells(mask, thresholds)
    drawn = overlay(pixels, draw_borders(labels, cells, _without_giants(cells, score_cells(cells, thresholds))))
    here = box.shift(-window.x, -window.y)
    crop = drawn[here.y : here.bottom, here.x : here.right]
    hottest, title = found.scores["cell_fields"]["hottest"], "cells"
    if hottest is not None:
        scale = canvas.place.scale
        centre = (hottest["x_px"] / scale - box.x, hottest["y_px"] / scale - box.y)
        crop = draw_circle(crop, centre, hottest["radius_px"] / scale, CIRCLE, 2)
        title = f"hottest field: {_share(hottest['cells'])}"
    write_picture(path, crop, Caption(f"{canvas.reference}: {title}", list(BORDERS.items()), canvas.place.mpp))


def _without_giants(cells: Cells, score: Score) -> Score:
    """The score without what is no cell for its size."""
    small = (cells.box_px[:, 2:] - cells.box_px[:, :2] < LARGEST_PX).all(axis=1)
    return replace(score, is_counted=score.is_counted & small)


def _numbers(found: IhcFound) -> str:
    return _share(found.scores["cells"])


def _share(cells: dict[str, Any]) -> str:
    if cells["percent_pos"] is None:
        return "no cells"
    interval = f"{cells['low']:.1f} to {cells['high']:.1f}"
    return f"{cells['percent_pos']:.1f} % ({interval}) of {cells['num_total']} cells positive"


def _name(kind: str) -> str:
    return "negative" if kind == "0" else f"positive {kind}"
