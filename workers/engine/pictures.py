"""The pictures of a result: overviews, densest fields, sheets of hotspots, heat maps, classified cells."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from workers.engine.finishing import SIDE_BY_SIDE, Finishing, write_each
from workers.engine.ihc_pictures import IhcCanvas, write_ihc_pictures
from workers.engine.keep import Target
from workers.engine.score import POINT_COLOUR, Scored
from workers.engine.sheet import write_sheet
from workers.engine.tile_classes import write_tile_heats
from workers.geometry import Box, Frame
from workers.outputs.circles import draw_circle
from workers.outputs.detail import FIELD_PX, densest_field, write_detail
from workers.outputs.heat import write_heat
from workers.outputs.maps import MapSpec
from workers.outputs.marks import mark_lines
from workers.outputs.overview import picture_mpp, write_overview
from workers.outputs.place import place_of
from workers.outputs.squares import draw_squares
from workers.slides import Slide, frame_size
from workers.slides.slide import RGB

LINES_PER_SIDE = 700
"""A circle or a square on the overview is drawn so thin."""


def write_result_pictures(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """The files of all pictures that what was measured calls for, made side by side."""
    kinds = (_write_overviews, _write_details, _write_sheets, _write_heats, _write_tile_heats, _write_ihc)
    with ThreadPoolExecutor(SIDE_BY_SIDE, "pictures") as pool:
        made = pool.map(lambda write: write(work, scored), kinds)
        return [path for paths in made for path in paths]


def _write_overviews(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """`overview.png` of the first map, `overview-<name>.png` of the others."""
    shown = [target for target in work.targets if target.spec.kind != "probabilities"]

    def write(target: Target) -> Path:
        name = "overview.png" if target is shown[0] else f"overview-{target.spec.name}.png"
        return _write_overview(work, target, [item for item in scored if item.target is target], work.out / name)

    return write_each(shown, write)


def _write_overview(work: Finishing, target: Target, scored: Sequence[Scored], path: Path) -> Path:
    """The overview of one map, with what was measured on it."""
    thumbnail = _thumbnail(work.slide, work.plan.frame, target.spec)
    title = f"{work.mark}{work.manifest.title} ({work.manifest.reference}): {target.spec.name}"
    for item in scored:
        if item.hotspots:
            hotspots = item.scores["hotspots"]
            for hotspot in hotspots:
                thumbnail = _circled(thumbnail, hotspot, work.slide.info.width_px)
            counts = ", ".join(str(hotspot["count"]) for hotspot in hotspots)
            title += f"; {counts} in circles of {item.scores['hotspot']['area_mm2']:g} mm2"
        if item.scores.get("fields"):
            scale, line_px = thumbnail.shape[1] / work.slide.info.width_px, _line_px(thumbnail)
            thumbnail = draw_squares(thumbnail, item.scores["fields"], scale, POINT_COLOUR, line_px)
    write_overview(path, work.maps, target.spec, work.plan.frame, thumbnail=thumbnail, title=title)
    return path


def _thumbnail(slide: Slide, frame: Frame, spec: MapSpec) -> RGB:
    """The whole frame at the overview's resolution, but never finer than the frame."""
    mpp = max(picture_mpp(spec, frame), frame.mpp)
    width, height = frame_size(slide.info, mpp)
    return slide.read(Box(0, 0, width, height), mpp)


def _circled(thumbnail: RGB, hotspot: dict[str, Any], width_px: int) -> RGB:
    """The thumbnail with the hotspot, which is told in px of the slide, `width_px` wide."""
    scale = thumbnail.shape[1] / width_px
    centre = (hotspot["x_px"] * scale, hotspot["y_px"] * scale)
    return draw_circle(thumbnail, centre, hotspot["radius_px"] * scale, POINT_COLOUR, _line_px(thumbnail))


def _line_px(thumbnail: RGB) -> int:
    return max(1, round(max(len(thumbnail), len(thumbnail[0])) / LINES_PER_SIDE))


def _write_details(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    paths = []
    for item in scored:
        if item.table is None or item.target is None or item.labels is None or not item.scores["count"]:
            continue
        spec, frame = item.target.spec, work.plan.frame
        place = place_of(frame, spec.stride_px)
        box = densest_field(
            item.table, place, spec.width_px, spec.height_px, min(FIELD_PX, spec.width_px, spec.height_px)
        )
        path = work.out / f"detail-{item.name}.png"
        title = f"{work.mark}{work.manifest.title} ({work.manifest.reference}): densest field"
        pixels = work.slide.read(box, place.mpp)
        mark = mark_lines(spec.virtual)
        write_detail(path, pixels, box, item.table, place=place, labels=item.labels, title=title, mark=mark)
        paths.append(path)
    return paths


def _write_sheets(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """The contact sheet of each measure that has hotspots."""
    paths, frame = [], work.plan.frame
    for item in scored:
        if item.target is not None and item.hotspots:
            work.check()
            path, place = work.out / f"hotspots-{item.name}.png", place_of(frame, item.target.spec.stride_px)
            # Its pictures are narrow: the whole title would be cut off.
            title = work.mark + work.manifest.reference
            write_sheet(path, work.slide, item.hotspots, place, mpp=frame.mpp, title=title)
            paths.append(path)
    return paths


def _write_heats(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """The heat map of each measure that has a ratio."""
    paths = []
    for item in scored:
        if item.target is not None and item.heat is not None:
            work.check()
            path, frame = work.out / f"heat-{item.name}.png", work.plan.frame
            thumbnail = _thumbnail(work.slide, frame, item.target.spec)
            mpp = frame.width_px * frame.mpp / thumbnail.shape[1]
            title = f"{work.mark}{work.manifest.title} ({work.manifest.reference}): R_pos"
            write_heat(path, item.heat, thumbnail, mpp, title, mark_lines(item.target.spec.virtual))
            paths.append(path)
    return paths


def _write_ihc(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """The classified cells of each measure of an IHC mask: over the slide, and in the hottest field."""
    paths: list[Path] = []
    for item in scored:
        if item.ihc is not None and item.target is not None:
            work.check()
            title = f"{work.mark}{work.manifest.title} ({work.manifest.reference})"
            reference = work.mark + work.manifest.reference
            canvas = IhcCanvas(work.slide, work.maps, item.target.spec, work.plan.frame, title, reference)
            paths += write_ihc_pictures(canvas, item.ihc, work.out, item.name)
    return paths


def _write_tile_heats(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """The heat maps of each measure of tiles, one per class."""
    paths: list[Path] = []
    for item in scored:
        if item.tiles is not None:
            work.check()
            thumbnail = _thumbnail(work.slide, work.plan.frame, item.tiles.spec)
            title = f"{work.mark}{work.manifest.title} ({work.manifest.reference})"
            paths += write_tile_heats(item.tiles, item.name, work.out, thumbnail, title)
    return paths
