"""What happens after the last band: pyramids, measures, OME-TIFF, pictures; every file with its digest."""

import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.manifest import Manifest
from workers.engine.checkpoint import BandRecord
from workers.engine.keep import Target
from workers.engine.progress import Event, Report
from workers.engine.score import POINT_COLOUR, Scored, Scoring, score, tissue_mm2
from workers.engine.seams import SeamSums
from workers.engine.sheet import write_sheet
from workers.engine.stopwatch import Stopwatch
from workers.geometry import Box, Frame
from workers.outputs.circles import draw_circle
from workers.outputs.detail import FIELD_PX, densest_field, write_detail
from workers.outputs.files import file_sha256, files_below, folder_sha256
from workers.outputs.maps import MapSpec
from workers.outputs.ome_tiff import write_ome_tiff
from workers.outputs.overview import picture_mpp, write_overview
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid
from workers.plan import Plan
from workers.regions import Shape, tell_regions
from workers.result import FilePart, FolderPart, RegionPart
from workers.slides import Slide, frame_size
from workers.slides.slide import RGB

LINES_PER_SIDE = 700
"""A circle on the overview is drawn so thin."""

MEDIA_TYPES = {
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff",
    ".zarr": "application/vnd+zarr",
}


@dataclass(frozen=True, eq=False)
class Finishing:
    """What the finish works on."""

    slide: Slide
    plan: Plan
    manifest: Manifest
    shapes: Sequence[Shape]
    """The regions that findings are counted in."""
    targets: Sequence[Target]
    out: Path
    maps: Path
    pictures: tuple[Path, ...]
    """Files that earlier stages wrote to `out`."""
    report: Report
    watch: Stopwatch
    check: Callable[[], None]
    """Called between pieces of work; raises where the run was asked to stop."""


@dataclass(frozen=True)
class Finished:
    """What the finish made."""

    scores: dict[str, Any]
    regions: tuple[RegionPart, ...]
    files: tuple[FilePart, ...]
    folders: tuple[FolderPart, ...]


def finish(work: Finishing) -> Finished:
    """Make everything a result holds besides level 0 of its maps."""
    steps = len(work.targets) + 3
    for index, target in enumerate(work.targets):
        work.report(Event("finish", index, steps))
        with work.watch.stage("pyramid"):
            build_pyramid(work.maps, target.spec, work.check)
    work.check()
    work.report(Event("finish", steps - 3, steps))
    with work.watch.stage("measure"):
        scored = score(work.manifest, Scoring(work.targets, work.maps, work.out, work.plan))
        tables = {item.name: item.table for item in scored if item.table is not None}
        regions = tell_regions(work.shapes, work.plan, tables)
    work.check()
    work.report(Event("finish", steps - 2, steps))
    tiffs = _write_tiffs(work)
    with work.watch.stage("pictures"):
        pictures = [*_write_overviews(work, scored), *_write_details(work, scored), *_write_sheets(work, scored)]
    work.report(Event("finish", steps - 1, steps))
    with work.watch.stage("digest"):
        paths = [*(path for item in scored for path in item.files), *tiffs, *pictures, *work.pictures]
        files = tuple(describe_file(work.out, path) for path in paths)
        folders = tuple(describe_folder(work.out, work.maps / t.spec.folder_name) for t in work.targets)
    work.report(Event("finish", steps, steps))
    return Finished({item.name: _with_density(item, work.plan) for item in scored}, regions, files, folders)


def seam_scores(targets: Sequence[Target], records: Sequence[BandRecord]) -> dict[str, float | None]:
    """The seam score of each map that has one."""
    scores: dict[str, float | None] = {}
    for target in targets:
        if target.spec.kind != "classes":
            sums = (record.seams.get(target.spec.name, SeamSums()) for record in records)
            scores[target.spec.name] = sum(sums, SeamSums()).score
    return scores


def describe_file(out: Path, path: Path) -> FilePart:
    """A file of the result with its digest."""
    return FilePart(
        path=path.relative_to(out).as_posix(),
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        media_type=_media_type(path),
    )


def describe_folder(out: Path, folder: Path) -> FolderPart:
    """A folder of the result with one digest over the sorted `path sha256` lines of its files."""
    paths = files_below(folder)
    return FolderPart(
        path=folder.relative_to(out).as_posix(),
        sha256=folder_sha256(folder),
        files=len(paths),
        size_bytes=sum(path.stat().st_size for path in paths),
        media_type=_media_type(folder),
    )


def _write_tiffs(work: Finishing) -> list[Path]:
    paths = []
    for target in work.targets:
        if target.spec.kind == "probabilities":
            continue
        work.check()
        path = work.out / f"{target.spec.name}.ome.tif"
        with work.watch.stage("ome-tiff"):
            write_ome_tiff(work.maps, target.spec, work.plan.frame, path)
        paths.append(path)
    return paths


def _write_overviews(work: Finishing, scored: Sequence[Scored]) -> list[Path]:
    """`overview.png` of the first map, `overview-<name>.png` of the others."""
    paths: list[Path] = []
    for target in work.targets:
        if target.spec.kind == "probabilities":
            continue
        path = work.out / ("overview.png" if not paths else f"overview-{target.spec.name}.png")
        thumbnail = _thumbnail(work.slide, work.plan.frame, target.spec)
        title = f"{work.manifest.title} ({work.manifest.reference}): {target.spec.name}"
        for item in scored:
            if item.target is target and item.hotspots:
                hotspots = item.scores["hotspots"]
                for hotspot in hotspots:
                    thumbnail = _circled(thumbnail, hotspot, work.slide.info.width_px)
                counts = ", ".join(str(hotspot["count"]) for hotspot in hotspots)
                title += f"; {counts} in circles of {item.scores['hotspot']['area_mm2']:g} mm2"
        write_overview(path, work.maps, target.spec, work.plan.frame, thumbnail=thumbnail, title=title)
        paths.append(path)
    return paths


def _thumbnail(slide: Slide, frame: Frame, spec: MapSpec) -> RGB:
    """The whole frame at the overview's resolution, but never finer than the frame."""
    mpp = max(picture_mpp(spec, frame), frame.mpp)
    width, height = frame_size(slide.info, mpp)
    return slide.read(Box(0, 0, width, height), mpp)


def _circled(thumbnail: RGB, hotspot: dict[str, Any], width_px: int) -> RGB:
    """The thumbnail with the hotspot, which is told in px of the slide, `width_px` wide."""
    scale = thumbnail.shape[1] / width_px
    centre = (hotspot["x_px"] * scale, hotspot["y_px"] * scale)
    line_px = max(1, round(max(thumbnail.shape[:2]) / LINES_PER_SIDE))
    return draw_circle(thumbnail, centre, hotspot["radius_px"] * scale, POINT_COLOUR, line_px)


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
        title = f"{work.manifest.title} ({work.manifest.reference}): densest field"
        pixels = work.slide.read(box, place.mpp)
        write_detail(path, pixels, box, item.table, place=place, labels=item.labels, title=title)
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
            title = work.manifest.reference
            write_sheet(path, work.slide, item.hotspots, place, mpp=frame.mpp, title=title)
            paths.append(path)
    return paths


def _with_density(item: Scored, plan: Plan) -> dict[str, Any]:
    area = tissue_mm2(plan)
    if "count" not in item.scores or not area:
        return item.scores
    return item.scores | {"per_mm2": item.scores["count"] / area}


def _media_type(path: Path) -> str:
    return MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
