"""Which components of an IHC mask count, which of them are positive, and what is told of them all."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workers.measures.fields_of_cells import CellField, find_fields
from workers.measures.proportion import share_of
from workers.outputs.ihc_table import Judged, read_counted
from workers.outputs.place import Place
from workers.regions import Shape, in_region
from workers.result_scores import CellFieldPart, CellFieldsPart, CellSharePart, DabBandsPart, IhcThresholdsPart

SHARED = ["x_px", "y_px", "counted", "class"]

Counts = NDArray[np.int64]


@dataclass(eq=False)
class IhcSums:
    """What is counted over the cells that count."""

    total: int = 0
    positive: int = 0
    bands: Counts = field(default_factory=lambda: np.zeros(4, np.int64))
    has_bands: bool = True
    """False where the density of DAB is not known."""
    places: list[NDArray[np.float64]] = field(default_factory=list)
    """(n, 2) each: x and y in px of the map."""
    classes: list[NDArray[np.bool_]] = field(default_factory=list)


def region_shares(table: Path, shapes: Sequence[Shape]) -> tuple[CellSharePart, ...]:
    """The cells that count in each region: those whose centre lies in it."""
    counts = np.zeros((len(shapes), 2), np.int64)
    for rows in read_counted(table, SHARED) if shapes else ():
        xs, ys = (rows[name].to_numpy() for name in ("x_px", "y_px"))
        positive = _is_positive_class(rows)
        for index, shape in enumerate(shapes):
            inside = in_region(shape, xs, ys)
            counts[index] += (int(inside.sum()), int((inside & positive).sum()))
    return tuple(tell_share(int(positive), int(total)) for total, positive in counts)


def tell_share(positive: int, total: int) -> CellSharePart:
    """So many positive cells of so many."""
    share = share_of(positive, total)
    return CellSharePart(
        num_total=total,
        num_pos=positive,
        num_neg=total - positive,
        percent_pos=share.percent,
        low=share.low,
        high=share.high,
    )


def _is_positive_class(rows: pa.Table) -> NDArray[np.bool_]:
    return np.asarray(rows["class"].cast(pa.string()).to_numpy(zero_copy_only=False) == "positive")


def counted_rows(rows: pa.Table, thresholds: IhcThresholdsPart) -> NDArray[np.bool_]:
    """Which rows are large enough, and small enough, to count."""
    size = rows["size_px"].to_numpy()
    counted = size > thresholds.size_px
    if thresholds.size_upper_px is not None:
        counted &= size < thresholds.size_upper_px
    return np.asarray(counted)


def judge(rows: pa.Table, thresholds: IhcThresholdsPart) -> Judged:
    """DeepLIIF's rules for a cell, and its band."""
    positive = rows["positive_px"].to_numpy() >= rows["negative_px"].to_numpy()
    if thresholds.marker is not None and not rows["marker"].null_count:
        positive = positive | (rows["marker"].to_numpy() > thresholds.marker)
    band = None
    if not rows["dab_od"].null_count:
        dab = rows["dab_od"].to_numpy().astype(np.float32)
        limits = np.array([thresholds.moderate_dab, thresholds.strong_dab], np.float32)
        band = positive * (1 + (dab[:, None] >= limits).sum(axis=1))
    return Judged(counted_rows(rows, thresholds), np.asarray(positive), band)


def add_rows(sums: IhcSums, rows: pa.Table, judged: Judged, place: Place) -> None:
    """Count rows, and note where they lie."""
    counted = judged.counted
    positive = judged.is_positive[counted]
    sums.total += int(counted.sum())
    sums.positive += int(positive.sum())
    if judged.band is None:
        sums.has_bands = False
    else:
        sums.bands += np.bincount(judged.band[counted], minlength=4)
    sums.places.append(np.stack([rows[name].to_numpy()[counted] / place.scale for name in ("x_px", "y_px")], axis=1))
    sums.classes.append(positive)


def tell_bands(sums: IhcSums) -> DabBandsPart | None:
    """Cells by band, with the H-score; None where the density of DAB is not known.

    References
    ----------
    McCarty et al. 1985, Arch Pathol Lab Med 109:716-721 (the H-score; the journal has no DOI).
    """
    if not sums.has_bands:
        return None
    negative, weak, moderate, strong = sums.bands.tolist()
    score = 100 * (weak + 2 * moderate + 3 * strong) / sums.total if sums.total else None
    return DabBandsPart(negative=negative, weak=weak, moderate=moderate, strong=strong, h_score=score)


def tell_fields(sums: IhcSums, field_cells: int, place: Place) -> CellFieldsPart:
    """The hottest and the densest field."""
    places = np.concatenate([np.zeros((0, 2)), *sums.places])
    found = find_fields(places, np.concatenate([np.zeros(0, bool), *sums.classes]), field_cells)
    return CellFieldsPart(
        field_cells=field_cells,
        hottest=None if found is None else _tell_field(found.hottest, place),
        densest=None if found is None else _tell_field(found.densest, place),
    )


def _tell_field(disc: CellField, place: Place) -> CellFieldPart:
    return CellFieldPart(
        x_px=disc.x * place.scale,
        y_px=disc.y * place.scale,
        radius_px=disc.radius * place.scale,
        area_mm2=float(np.pi * (disc.radius * place.mpp / 1000) ** 2),
        cells=tell_share(disc.positive, disc.count),
    )
