"""The measures a manifest declares, taken from the stored maps, and the files they leave."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.errors import InternalError
from models.manifest import ClassSpec, Manifest
from models.measures_spec import AreasMeasure, CellsMeasure, PointsMeasure
from models.parameters import measure_stems
from workers.engine.hotspot import FoundHotspot, find_hotspots, tell_hotspots
from workers.engine.keep import Target
from workers.geometry import Frame
from workers.measures.areas import measure_areas
from workers.measures.cells import CellRule, Tally, stream_cells
from workers.measures.fractions import area_fractions
from workers.measures.points import find_points
from workers.outputs.circles import write_circles
from workers.outputs.findings import write_findings
from workers.outputs.labels import Labels
from workers.outputs.place import place_of
from workers.outputs.readers import Source, cells_reader, heat_reader, stored_values
from workers.plan import Plan

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


@dataclass(frozen=True)
class Scoring:
    """What measures are taken from."""

    targets: Sequence[Target]
    maps: Path
    out: Path
    plan: Plan

    @property
    def frame(self) -> Frame:
        """The pixels the network saw."""
        return self.plan.frame

    def target(self, name: str) -> Target | None:
        """The stored map of that name, if there is one."""
        return next((target for target in self.targets if target.spec.name == name), None)


def tissue_mm2(plan: Plan) -> float:
    """The area that was analysed."""
    return plan.tissue_px * (plan.frame.mpp / 1000) ** 2


def score(manifest: Manifest, scoring: Scoring) -> tuple[Scored, ...]:
    """Every measure of the manifest, in its order; files are written to `scoring.out`."""
    found = []
    for stem, measure in zip(measure_stems(manifest), manifest.measures, strict=True):
        target = scoring.target(measure.output)
        if target is None:
            raise InternalError(f"The map {measure.output} was not stored.")
        if isinstance(measure, CellsMeasure):
            found.append(_cells(measure, stem, target, scoring))
        elif isinstance(measure, PointsMeasure):
            found.append(_points(measure, stem, target, scoring))
        else:
            found.append(_areas(measure, stem, target, scoring))
    return tuple(found)


def _cells(measure: CellsMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    interior = _class_index(target.spec.classes, measure.interior)
    place, tally = place_of(scoring.frame, target.spec.stride_px), Tally()
    likely = scoring.target(f"{measure.output}-probabilities")
    heat = None if likely is None else Source(likely.spec, interior)
    rule = CellRule.of(measure, place.mpp, has_heat=heat is not None)
    reader = cells_reader(scoring.maps, Source(target.spec), interior, heat=heat)
    cells = stream_cells(reader, target.spec.width_px, target.spec.height_px, rule, tally=tally)
    labels = Labels(target.spec.classes[interior])
    files = write_findings(scoring.out, stem, cells, place, labels)
    counts = {"count": tally.kept, "too_small": tally.too_small, "too_large": tally.too_large}
    return Scored(stem, {"class": measure.interior} | counts, files, scoring.out / f"{stem}.parquet", labels, target)


def _points(measure: PointsMeasure, stem: str, target: Target, scoring: Scoring) -> Scored:
    place, tally = place_of(scoring.frame, target.spec.stride_px), Tally()
    reader = heat_reader(scoring.maps, Source(target.spec))
    points = find_points(reader, target.spec.width_px, target.spec.height_px, measure, place.mpp, tally=tally)
    labels = Labels(ClassSpec(name=measure.label, colour=POINT_COLOUR))
    files = write_findings(scoring.out, stem, points, place, labels)
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
    classes, mpp = target.spec.classes, place_of(scoring.frame, target.spec.stride_px).mpp
    areas = measure_areas(stored_values(scoring.maps, Source(target.spec)), len(classes), mpp)
    by_name = {item.name: area for item, area in zip(classes, areas, strict=True)}
    scores: dict[str, Any] = {f"{name}_mm2": area for name, area in by_name.items()}
    if measure.positive is not None and measure.negative is not None:
        fractions = area_fractions(by_name[measure.positive], by_name[measure.negative], tissue_mm2(scoring.plan))
        scores |= asdict(fractions)
    return Scored(stem, scores, ())


def _class_index(classes: Sequence[ClassSpec], name: str) -> int:
    return next(index for index, item in enumerate(classes) if item.name == name)
