"""Positive and negative cells of a stored IHC mask: found, judged, counted, told, and written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import CellsNotSeparateError, TooFewCellsError
from models.measures_spec import IhcCellsMeasure
from workers.deepliif.thresholds import Thresholds, default_size_threshold
from workers.engine.ihc_scores import IhcSums, add_rows, counted_rows, judge, tell_bands, tell_fields, tell_share
from workers.engine.keep import Target
from workers.geometry import Box
from workers.measures.ihc_cells import LARGEST_PX, IhcPictures, IhcTally, ReadPixels, stream_ihc_cells
from workers.outputs.circles import write_circles
from workers.outputs.ihc_table import (
    BRIEF,
    COLOURS,
    brief_writer,
    judged_writer,
    paths_of,
    read_components,
    read_facts,
    write_components,
)
from workers.outputs.maps import present_shards, read_box
from workers.outputs.place import Place, place_of
from workers.plan import Plan
from workers.result_scores import CellFieldsPart, IhcComponentsPart, IhcThresholdsPart
from workers.slides import Slide

MOST_MERGED = 0.5
"""More than this part of the mask in groups too large for cells, and what is left is no sample of the cells."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IhcSource:
    """What the cells of a slide are taken from."""

    measure: IhcCellsMeasure
    mask: Target
    marker: Target | None
    maps: Path
    out: Path
    plan: Plan
    slide: Slide | None = None
    """None where only the maps are at hand: no density of stains is known then."""
    components: Path | None = None
    """A table of an earlier result, whose components are judged anew; None has them found."""
    is_forced: bool = False
    is_brief: bool = False
    """True where only scores are wanted: shapes are neither read nor written."""
    check: Callable[[], None] = field(default=lambda: None)

    @property
    def place(self) -> Place:
        """Of the mask."""
        return place_of(self.plan.frame, self.mask.spec.stride_px)


@dataclass(frozen=True, eq=False)
class IhcFound:
    """What was found, and where it was written."""

    scores: dict[str, Any]
    files: tuple[Path, ...]
    table: Path
    warnings: tuple[tuple[str, str], ...]
    """Slugs and texts of what the reader of the scores must know."""


def score_ihc_cells(source: IhcSource, stem: str) -> IhcFound:
    """The cells of a slide's mask, with their table, shapes and fields written to `source.out`.

    Raises
    ------
    TooFewCellsError
        Fewer cells count than the package wants for a score, and the run is not forced; nothing is written.
    CellsNotSeparateError
        Most of the mask is no single cells, and the run is not forced.
    """
    usable = source.components is not None and _is_of_mask(source.components, source.measure)
    passing = source.out / f".{stem}-components.parquet"
    components = source.components if usable and source.components is not None else passing
    try:
        if components is passing:
            _find(source, passing)
        return _judge_all(source, stem, components)
    finally:
        passing.unlink(missing_ok=True)


def _is_of_mask(table: Path, measure: IhcCellsMeasure) -> bool:
    """True where the components of a table are those that the measure would find."""
    facts = read_facts(table)
    return facts is not None and (facts["seg"], facts["green"]) == (measure.seg_threshold, measure.green_threshold)


def _find(source: IhcSource, path: Path) -> None:
    measure, spec, tally = source.measure, source.mask.spec, IhcTally()
    pictures = IhcPictures(
        mask=_map_reader(source, source.mask),
        marker=None if source.marker is None else _map_reader(source, source.marker),
        slide=None if source.slide is None else partial(source.slide.read, mpp=source.place.mpp),
    )
    found = stream_ihc_cells(
        pictures,
        Box(0, 0, spec.width_px, spec.height_px),
        Thresholds(seg=measure.seg_threshold, green=measure.green_threshold),
        tally=tally,
        check=source.check,
    )
    write_components(path, found, source.place, lambda: _facts(measure, tally))


def _facts(measure: IhcCellsMeasure, tally: IhcTally) -> dict[str, Any]:
    """What belongs to the components beside their rows."""
    return {
        "seg": measure.seg_threshold,
        "green": measure.green_threshold,
        "found": tally.found,
        "noise": tally.noise,
        "noise_px": Thresholds().noise_px,
        "too_large": tally.too_large,
        "too_large_part": tally.too_large_px / tally.cells_px if tally.cells_px else 0.0,
        "largest_side_px": LARGEST_PX,
    }


def _map_reader(source: IhcSource, target: Target) -> ReadPixels:
    """Pixels of a stored image, black where nothing was analysed."""
    spec, plan = target.spec, source.plan
    present = frozenset(present_shards(source.maps, spec))

    def read(box: Box) -> NDArray[np.uint8] | None:
        if present.isdisjoint(spec.shards_of(box)):
            return None
        pixels = read_box(source.maps, spec, box).transpose(1, 2, 0)
        stride = spec.stride_px
        frame = Box(box.x * stride, box.y * stride, box.width * stride, box.height * stride)
        # An image is white where nothing was written, which is no part of a mask.
        return np.asarray(pixels * plan.tissue_pixels(frame, stride)[..., None])

    return read


def _judge_all(source: IhcSource, stem: str, components: Path) -> IhcFound:
    measure, facts = source.measure, read_facts(components) or {}
    thresholds = _thresholds(measure, components, facts)
    total = _count(components, thresholds)
    warnings = (*_check_count(source, total), *_check_separate(source, facts["too_large_part"]))
    sums = IhcSums()
    table = source.out / f"{stem}.parquet"
    facts |= {"thresholds": thresholds.model_dump()}
    judged_file = brief_writer(table) if source.is_brief else judged_writer(source.out, stem, source.place, facts)
    with judged_file as write:
        for rows in read_components(components, BRIEF if source.is_brief else None):
            source.check()
            judged = judge(rows, thresholds)
            write(rows, judged)
            add_rows(sums, rows, judged, source.place)
    fields = tell_fields(sums, measure.field_cells, source.place)
    circles = source.out / f"fields-{stem}.geojson"
    _write_fields(circles, fields, source.place)
    told = IhcComponentsPart(
        counted=sums.total,
        rejected=facts["found"] - sums.total,
        noise=facts["noise"],
        too_large=facts["too_large"],
        too_large_part=facts["too_large_part"],
    )
    bands = tell_bands(sums)
    scores = {
        "cells": tell_share(sums.positive, sums.total).model_dump(),
        "per_mm2": sums.total / area if (area := _analysed_mm2(source.plan)) else None,
        "dab_bands": None if bands is None else bands.model_dump(),
        "cell_fields": fields.model_dump(),
        "ihc_thresholds": thresholds.model_dump(),
        "ihc_components": told.model_dump(),
    }
    files = (table,) if source.is_brief else paths_of(source.out, stem)
    return IhcFound(scores, (*files, circles), table, (*warnings, *_too_large(told)))


def _too_large(told: IhcComponentsPart) -> tuple[tuple[str, str], ...]:
    if not told.too_large:
        return ()
    text = (
        f"{told.too_large} groups of touching cells are wider or higher than {LARGEST_PX} px and hold "
        f"{told.too_large_part:.0%} of the mask's area: what is in them, and what they close in, is in no number."
    )
    return (("cells-too-large", text),)


def _thresholds(measure: IhcCellsMeasure, components: Path, facts: dict[str, Any]) -> IhcThresholdsPart:
    size = measure.size_px
    if size is None:
        sizes = _size_histogram(components)
        present = np.flatnonzero(sizes)
        size = default_size_threshold(present, measure.resolution, sizes[present])
    return IhcThresholdsPart(
        seg=measure.seg_threshold,
        green=measure.green_threshold,
        resolution=measure.resolution,
        noise_px=facts["noise_px"],
        largest_side_px=facts["largest_side_px"],
        size_px=size,
        size_source="found" if measure.size_px is None else "given",
        size_upper_px=measure.size_upper_px,
        marker=measure.marker_threshold,
        moderate_dab=measure.moderate_dab,
        strong_dab=measure.strong_dab,
    )


def _size_histogram(components: Path) -> Counts:
    sizes = np.zeros(LARGEST_PX**2 + 1, np.int64)
    for rows in read_components(components, ["size_px"]):
        sizes += np.bincount(rows["size_px"].to_numpy(), minlength=len(sizes))
    return sizes


def _count(components: Path, thresholds: IhcThresholdsPart) -> int:
    return sum(int(counted_rows(rows, thresholds).sum()) for rows in read_components(components, ["size_px"]))


def _check_count(source: IhcSource, total: int) -> tuple[tuple[str, str], ...]:
    """Warnings of a count that is too small where the run is forced.

    Raises
    ------
    TooFewCellsError
        It is not forced.
    """
    least = source.measure.min_cells
    if total >= least:
        return ()
    text = f"Only {total} cells count; a share of positive ones is told from {least} on (min_cells)."
    if source.is_forced:
        return (("too-few-cells", text),)
    remedy = "Look at the mask (--set min_cells=0 shows it); analyse more tissue; or force the run (--force)."
    raise TooFewCellsError(text, remedy)


def _check_separate(source: IhcSource, part: float) -> tuple[tuple[str, str], ...]:
    """Warnings of a mask that shows no single cells where the run is forced.

    Raises
    ------
    CellsNotSeparateError
        It is not forced.
    """
    if part <= MOST_MERGED:
        return ()
    text = (
        f"{part:.0%} of the mask's area lies in groups that are wider or higher than {LARGEST_PX} px; at most "
        f"{MOST_MERGED:.0%} may: what is left is no sample of the cells."
    )
    if source.is_forced:
        return (("cells-not-separate", text),)
    remedy = "A stain of cytoplasm or membrane cannot be counted so. Look at the mask, or force the run (--force)."
    raise CellsNotSeparateError(text, remedy)


def _analysed_mm2(plan: Plan) -> float:
    return plan.tissue_px * (plan.frame.mpp / 1000) ** 2


def _write_fields(path: Path, fields: CellFieldsPart, place: Place) -> None:
    told = {"hottest field": fields.hottest, "densest field": fields.densest}
    circles = [
        {"name": name, "x_px": disc.x_px, "y_px": disc.y_px, "radius_px": disc.radius_px, "count": disc.cells.num_total}
        for name, disc in told.items()
        if disc is not None
    ]
    write_circles(path, circles, place, name="field", colour=COLOURS["3+"])
