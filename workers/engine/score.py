"""The measures a manifest declares, taken from the stored maps, and the files they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.errors import InternalError
from models.manifest import ClassSpec, Manifest
from models.measures_spec import AreasMeasure, CellsMeasure, IhcCellsMeasure, Measure, PointsMeasure, TilesMeasure
from models.parameters import measure_stems
from workers.engine.fractions import AreasSource, region_areas, slide_areas
from workers.engine.hotspot import FoundHotspot, find_hotspots, tell_hotspots
from workers.engine.ihc import IhcFound, IhcSource, score_ihc_cells
from workers.engine.ihc_scores import region_shares
from workers.engine.keep import Target
from workers.engine.tile_classes import TilesSource, region_tiles, score_tiles
from workers.geometry import Frame
from workers.measures.cells import CellRule, Tally, stream_cells
from workers.measures.points import find_points
from workers.outputs.circles import write_circles
from workers.outputs.class_regions import write_class_regions
from workers.outputs.findings import write_findings
from workers.outputs.heat import Heat
from workers.outputs.labels import Labels
from workers.outputs.place import place_of
from workers.outputs.readers import Source, cells_reader, heat_reader
from workers.plan import Plan
from workers.regions import Shape, tell_regions
from workers.result import RegionPart
from workers.slides import Slide

POINT_COLOUR = (220, 40, 40)


@dataclass(frozen=True)
class Scored:
    """What one measure found."""

    name: str
    scores: dict[str, Any]
    files: tuple[Path, ...]
    table: Path | None = None
    """The Parquet file of its findings."""
    labels: Labels | None = None
    target: Target | None = None
    hotspots: tuple[FoundHotspot, ...] = ()
    heat: Heat | None = None
    areas: AreasSource | None = None
    """What areas are taken from, of regions too."""
    tiles: TilesSource | None = None
    """What tiles are taken from, of regions too."""
    ihc: IhcFound | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    """Slugs and texts of what the reader of the scores must know."""


@dataclass(frozen=True)
class Scoring:
    """What measures are taken from."""

    targets: Sequence[Target]
    maps: Path
    out: Path
    plan: Plan
    slide: Slide | None = None
    """None where only the maps are at hand."""
    is_forced: bool = False
    """True where a number is wanted in spite of a reason against it."""
    earlier: Path | None = None
    """A finished result of the same maps; what it found and other numbers do not change is taken from it."""
    is_brief: bool = False
    """True where only scores are wanted: of the files of findings, the tables alone are written."""

    @property
    def frame(self) -> Frame:
        """The pixels the network saw."""
        return self.plan.frame

    def target(self, name: str) -> Target | None:
        """The stored map of that name, if there is one."""
        return next((target for target in self.targets if target.spec.name == name), None)


def score_regions(scored: Sequence[Scored], shapes: Sequence[Shape], plan: Plan) -> tuple[RegionPart, ...]:
    """What the measures found in each region."""
    tables = {item.name: item.table for item in scored if item.table is not None}
    areas = {item.name: partial(region_areas, item.areas) for item in scored if item.areas is not None}
    parts = tell_regions(shapes, plan, tables, areas)
    tiles = {item.name: item.tiles for item in scored if item.tiles is not None}
    cells = {item.name: region_shares(item.ihc.table, shapes) for item in scored if item.ihc is not None}
    return tuple(
        part.model_copy(
            update={
                "tiles": {name: region_tiles(source, shape) for name, source in tiles.items()},
                "cells": {name: shares[index] for name, shares in cells.items()},
            }
        )
        for index, (part, shape) in enumerate(zip(parts, shapes, strict=True))
    )


def tissue_mm2(plan: Plan) -> float:
    """The area that was analysed."""
    return plan.tissue_px * (plan.frame.mpp / 1000) ** 2


def computed_mm2(plan: Plan) -> float:
    """Of that area, what the network computed."""
    return plan.computed_px * (plan.frame.mpp / 1000) ** 2


def score(manifest: Manifest, scoring: Scoring) -> tuple[Scored, ...]:
    """Every measure of the manifest, in its order; files are written to `scoring.out`."""
    named = zip(measure_stems(manifest), manifest.measures, strict=True)
    return tuple(score_measure(measure, stem, scoring) for stem, measure in named)


def score_measure(measure: Measure, stem: str, scoring: Scoring) -> Scored:
    """One measure, whose files are called `stem`."""
    target = scoring.target(measure.output)
    if target is None:
        raise InternalError(f"The map {measure.output} was not stored.")
    if isinstance(measure, CellsMeasure):
        return _cells(measure, stem, target, scoring)
    if isinstance(measure, PointsMeasure):
        return _points(measure, stem, target, scoring)
    if isinstance(measure, TilesMeasure):
        return _tiles(measure, stem, target, scoring)
    if isinstance(measure, IhcCellsMeasure):
        return _ihc_cells(measure, stem, target, scoring)
    return _areas(measure, stem, target, scoring)


def _cells(measure: CellsMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    interior = _class_index(target.spec.classes, measure.interior)
    place, tally = place_of(scoring.frame, target.spec.stride_px), Tally()
    likely = scoring.target(f"{measure.output}-probabilities")
    heat = None if likely is None else Source(likely.spec, interior)
    rule = CellRule.of(measure, place.mpp, has_heat=heat is not None)
    reader = cells_reader(scoring.maps, Source(target.spec), interior, heat=heat)
    cells = stream_cells(reader, target.spec.width_px, target.spec.height_px, rule, tally=tally)
    labels = Labels(target.spec.classes[interior])
    files = write_findings(scoring.out, stem, cells, place, labels, is_brief=scoring.is_brief)
    counts = {"count": tally.kept, "too_small": tally.too_small, "too_large": tally.too_large}
    return Scored(stem, {"class": measure.interior} | counts, files, scoring.out / f"{stem}.parquet", labels, target)


def _points(measure: PointsMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    place, tally = place_of(scoring.frame, target.spec.stride_px), Tally()
    reader = heat_reader(scoring.maps, Source(target.spec))
    points = find_points(reader, target.spec.width_px, target.spec.height_px, measure, place.mpp, tally=tally)
    labels = Labels(ClassSpec(name=measure.label, colour=POINT_COLOUR))
    files = write_findings(scoring.out, stem, points, place, labels, is_brief=scoring.is_brief)
    scores: dict[str, Any] = {
        "class": measure.label,
        "count": tally.kept,
        "rejected": tally.too_small,
        "too_large": tally.too_large,
    }
    hotspots: tuple[FoundHotspot, ...] = ()
    if measure.hotspot_mm2 is not None:
        hotspots = find_hotspots(points, place, measure.hotspots, measure.hotspot_mm2)
        scores |= tell_hotspots(hotspots, points, place, scoring.plan, measure)
        circles = scoring.out / f"hotspots-{stem}.geojson"
        write_circles(circles, scores["hotspots"], place, name="hotspot", colour=POINT_COLOUR)
        files = (*files, circles)
    return Scored(stem, scores, files, scoring.out / f"{stem}.parquet", labels, target, hotspots)


def _areas(measure: AreasMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    source = AreasSource(measure, target, scoring.maps, scoring.frame)
    found = slide_areas(source, stem, scoring.out)
    files = found.files
    if measure.outlines_mm2 is not None:
        path = scoring.out / f"outlines-{stem}.geojson"
        write_class_regions(path, scoring.maps, target.spec, source.place, measure.outlines_mm2)
        files = (*files, path)
    return Scored(stem, found.scores, files, target=target, heat=found.heat, areas=source)


def _tiles(measure: TilesMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    likely = scoring.target(f"{measure.output}-probabilities")
    source = TilesSource(measure, target, likely, scoring.maps, scoring.plan)
    scores, files = score_tiles(source, stem, scoring.out)
    return Scored(stem, scores, files, target=target, tiles=source)


def _ihc_cells(measure: IhcCellsMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    marker = None if measure.marker is None else scoring.target(measure.marker)
    table = None if scoring.earlier is None else scoring.earlier / f"{stem}.parquet"
    source = IhcSource(
        measure=measure,
        mask=target,
        marker=marker,
        maps=scoring.maps,
        out=scoring.out,
        plan=scoring.plan,
        slide=scoring.slide,
        components=table,
        is_forced=scoring.is_forced,
        is_brief=scoring.is_brief,
    )
    found = score_ihc_cells(source, stem)
    return Scored(stem, found.scores, found.files, found.table, target=target, ihc=found, warnings=found.warnings)


def _class_index(classes: Sequence[ClassSpec], name: str) -> int:
    return next(index for index, item in enumerate(classes) if item.name == name)
