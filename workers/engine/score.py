"""The measures a manifest declares, taken from the stored maps, and the files they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.manifest import AreasMeasure, CellsMeasure, ClassSpec, Manifest, PointsMeasure
from workers.engine.keep import Target
from workers.geometry import Frame
from workers.measures.areas import measure_areas
from workers.measures.cells import CellRule, Tally, stream_cells
from workers.measures.points import find_points
from workers.outputs.findings import write_findings
from workers.outputs.labels import Labels
from workers.outputs.place import place_of
from workers.outputs.readers import Source, cells_reader, heat_reader, stored_values

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


def score(manifest: Manifest, targets: Sequence[Target], maps: Path, out: Path, frame: Frame) -> tuple[Scored, ...]:
    """Every measure of the manifest, in its order; files are written to `out`."""
    found = []
    for index, measure in enumerate(manifest.measures):
        target = next(t for t in targets if t.spec.name == measure.output)
        stem = measure.kind if index == _first_of_kind(manifest, measure.kind) else f"{measure.kind}-{index}"
        if isinstance(measure, CellsMeasure):
            found.append(_cells(measure, stem, target, targets, maps, out, frame))
        elif isinstance(measure, PointsMeasure):
            found.append(_points(measure, stem, target, maps, out, frame))
        else:
            found.append(_areas(measure, stem, target, maps, frame))
    return tuple(found)


def _cells(
    measure: CellsMeasure, stem: str, target: Target, targets: Sequence[Target], maps: Path, out: Path, frame: Frame
) -> Scored:
    interior = _class_index(target.spec.classes, measure.interior)
    place, tally = place_of(frame, target.spec.stride_px), Tally()
    likely = next((t for t in targets if t.spec.name == f"{measure.output}-probabilities"), None)
    heat = None if likely is None else Source(likely.spec, interior)
    rule = CellRule.of(measure, place.mpp, has_heat=heat is not None)
    reader = cells_reader(maps, Source(target.spec), interior, heat=heat)
    cells = stream_cells(reader, target.spec.width_px, target.spec.height_px, rule, tally=tally)
    labels = Labels(target.spec.classes[interior])
    files = write_findings(out, stem, cells, place, labels)
    scores = {
        "class": measure.interior,
        "count": tally.kept,
        "too_small": tally.too_small,
        "too_large": tally.too_large,
    }
    return Scored(stem, scores, files, out / f"{stem}.parquet", labels, target)


def _points(measure: PointsMeasure, stem: str, target: Target, maps: Path, out: Path, frame: Frame) -> Scored:
    place, tally = place_of(frame, target.spec.stride_px), Tally()
    reader = heat_reader(maps, Source(target.spec))
    points = find_points(reader, target.spec.width_px, target.spec.height_px, measure, place.mpp, tally=tally)
    labels = Labels(ClassSpec(name=measure.label, colour=POINT_COLOUR))
    files = write_findings(out, stem, points, place, labels)
    scores = {"class": measure.label, "count": tally.kept, "rejected": tally.too_small, "too_large": tally.too_large}
    return Scored(stem, scores, files, out / f"{stem}.parquet", labels, target)


def _areas(measure: AreasMeasure, stem: str, target: Target, maps: Path, frame: Frame) -> Scored:
    classes = target.spec.classes
    values = stored_values(maps, Source(target.spec))
    areas = measure_areas(values, len(classes), place_of(frame, target.spec.stride_px).mpp)
    return Scored(stem, {f"{item.name}_mm2": area for item, area in zip(classes, areas, strict=True)}, ())


def _class_index(classes: Sequence[ClassSpec], name: str) -> int:
    return next(index for index, item in enumerate(classes) if item.name == name)


def _first_of_kind(manifest: Manifest, kind: str) -> int:
    return next(index for index, measure in enumerate(manifest.measures) if measure.kind == kind)
