"""The areas of a class map's classes over the slide and in regions, and where the positive one is densest."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.measures_spec import AreasMeasure
from workers.engine.keep import Target
from workers.geometry import Box, Frame
from workers.measures.areas import measure_areas
from workers.measures.bootstrap import DRAWS, LEVEL, Interval, fraction_intervals
from workers.measures.fields import MIN_TISSUE, STEPS, densest_fields
from workers.measures.fractions import area_fractions
from workers.measures.lattice import Lattice, Roles, Tally, Values, counted
from workers.measures.polygons import cover_pixels
from workers.outputs.heat import WINDOW, Heat
from workers.outputs.maps import present_shards, read_box
from workers.outputs.place import Place, place_of
from workers.outputs.spec import NOT_ANALYSED, MapSpec
from workers.outputs.squares import write_squares
from workers.regions import Shape
from workers.result_scores import FieldPart, IntervalPart, IntervalsPart, RegionAreasPart

FIELD_COLOUR = (220, 40, 40)


@dataclass(frozen=True)
class AreasSource:
    """What areas are taken from: a measure, and the stored map it is about."""

    measure: AreasMeasure
    target: Target
    maps: Path
    frame: Frame

    @property
    def spec(self) -> MapSpec:
        """Of the map."""
        return self.target.spec

    @property
    def place(self) -> Place:
        """Of the map on its slide."""
        return place_of(self.frame, self.spec.stride_px)

    @property
    def px_mm2(self) -> float:
        """The area of a pixel of the map."""
        return (self.place.mpp / 1000) ** 2

    @property
    def roles(self) -> Roles | None:
        """Which values are positive and negative; None where the package names none."""
        names = [item.name for item in self.spec.classes]
        if self.measure.positive is None or self.measure.negative is None:
            return None
        return Roles(names.index(self.measure.positive), names.index(self.measure.negative), len(names))

    def lattice(self, side_um: float) -> Lattice:
        """Squares of that side over the map."""
        return Lattice.over(self.spec.width_px, self.spec.height_px, side_um / self.place.mpp)

    def pieces(self) -> Iterator[tuple[Box, Values]]:
        """(box, values) of each stored shard, row by row."""
        for shard in present_shards(self.maps, self.spec):
            box = self.spec.shard_box(*shard)
            yield box, read_box(self.maps, self.spec, box)

    def pieces_in(self, shape: Shape) -> Iterator[tuple[Box, Values]]:
        """The same of the shards that a region meets; what lies outside of it is not analysed."""
        corners = shape.edges.reshape(-1, 2) / self.place.scale
        (left, top), (right, bottom) = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
        bounds = Box(int(left), int(top), int(right - left), int(bottom - top))
        for shard in present_shards(self.maps, self.spec):
            box = self.spec.shard_box(*shard).intersect(bounds)
            if not box.is_empty:
                xs, ys = (_centres(*ends, self.place) for ends in ((box.x, box.right), (box.y, box.bottom)))
                inside = cover_pixels(shape.edges, xs, ys)
                yield box, np.where(inside, read_box(self.maps, self.spec, box), np.uint8(NOT_ANALYSED))


@dataclass(frozen=True)
class FoundAreas:
    """What a measure of areas found on the slide."""

    scores: dict[str, Any]
    files: tuple[Path, ...] = ()
    heat: Heat | None = None


def slide_areas(source: AreasSource, stem: str, out: Path) -> FoundAreas:
    """The areas of the classes and, where the package names a positive and a negative one, all that follows from them.

    Of the slide: fractions with intervals, the densest fields (also written as GeoJSON), and what the heat map shows.
    One pass over the map; besides a shard, memory holds the sums of lattices about as coarse as the plan's cells.
    """
    roles, measure = source.roles, source.measure
    if roles is None:
        return FoundAreas(
            _named(source, measure_areas(_values(source.pieces()), len(source.spec.classes), source.place.mpp))
        )
    side_um = 1000 * measure.field_mm2**0.5
    blocks, steps, heat = (
        Tally(source.lattice(step_um), roles)
        for step_um in (measure.block_um, side_um / STEPS, measure.heat_um / WINDOW)
    )
    values = counted(source.pieces(), (blocks, steps, heat))
    areas = measure_areas(values, len(source.spec.classes), source.place.mpp)
    fields = [field.model_dump() for field in _fields(source, steps)]
    path = out / f"fields-{stem}.geojson"
    write_squares(path, fields, source.place, name="field", colour=FIELD_COLOUR)
    scores = _named(source, areas) | _fractions(roles, areas)
    scores |= {"intervals": _intervals(measure, blocks).model_dump(), "fields": fields}
    return FoundAreas(scores, (path,), Heat(heat.sums, heat.lattice, source.place.mpp))


def region_areas(source: AreasSource, shape: Shape) -> RegionAreasPart:
    """The same of a region, without fields: of the pixels whose centre lies in it; streamed shard by shard."""
    roles, classes = source.roles, source.spec.classes
    blocks = None if roles is None else Tally(source.lattice(source.measure.block_um), roles)
    values = counted(source.pieces_in(shape), () if blocks is None else (blocks,))
    areas = measure_areas(values, len(classes), source.place.mpp)
    named = {item.name: area for item, area in zip(classes, areas, strict=True)}
    if roles is None or blocks is None:
        return RegionAreasPart(class_mm2=named)
    return RegionAreasPart(class_mm2=named, **_fractions(roles, areas), intervals=_intervals(source.measure, blocks))


def _centres(start: int, stop: int, place: Place) -> NDArray[np.float64]:
    """The centres of map px along one side, in level-0 px."""
    return np.asarray((np.arange(start, stop) + 0.5) * place.scale, dtype=np.float64)


def _values(pieces: Iterator[tuple[Box, Values]]) -> Iterator[Values]:
    return (values for _, values in pieces)


def _named(source: AreasSource, areas: tuple[float, ...]) -> dict[str, Any]:
    return {f"{item.name}_mm2": area for item, area in zip(source.spec.classes, areas, strict=True)}


def _fractions(roles: Roles, areas: tuple[float, ...]) -> dict[str, float | None]:
    return asdict(area_fractions(areas[roles.positive], areas[roles.negative], sum(areas)))


def _intervals(measure: AreasMeasure, blocks: Tally) -> IntervalsPart:
    held = blocks.blocks()
    found = fraction_intervals(held, measure.seed)
    return IntervalsPart(
        level=LEVEL,
        block_um=measure.block_um,
        blocks=len(held),
        draws=DRAWS,
        seed=measure.seed,
        d_pos=_ends(found.d_pos),
        d_neg=_ends(found.d_neg),
        r_pos=_ends(found.r_pos),
        reason=found.reason,
    )


def _ends(interval: Interval | None) -> IntervalPart | None:
    return None if interval is None else IntervalPart(low=interval.low, high=interval.high)


def _fields(source: AreasSource, steps: Tally) -> Iterator[FieldPart]:
    """The densest fields, the densest first; of those that lie wholly on the map."""
    side_px, area_mm2 = steps.lattice.width_px * STEPS, source.measure.field_mm2
    columns, rows = (
        int(size / steps.lattice.width_px + 1e-9) for size in (source.spec.width_px, source.spec.height_px)
    )
    sums = steps.sums[:, :rows, :columns]
    least_px = MIN_TISSUE * area_mm2 / source.px_mm2
    for found in densest_fields(sums, STEPS, source.measure.fields, least_px):
        held = [count * source.px_mm2 for count in (found.positive, found.negative, found.analysed)]
        yield FieldPart.model_validate(
            {
                "x_px": found.column * steps.lattice.width_px * source.place.scale,
                "y_px": found.row * steps.lattice.width_px * source.place.scale,
                "side_px": side_px * source.place.scale,
                "area_mm2": area_mm2,
                "tissue_mm2": held[2],
                "positive_mm2": held[0],
                "negative_mm2": held[1],
                **asdict(area_fractions(*held)),
            }
        )
