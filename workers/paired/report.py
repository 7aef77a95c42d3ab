"""What a comparison of two sections says: `paired.json`, a table of the regions, and their outlines."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from workers.measures.correlation import correlate, pearson
from workers.measures.fractions import Fractions
from workers.outputs.files import write_whole
from workers.outputs.place import Place
from workers.paired.rois import RoiPair
from workers.result import NOTICE
from workers.result_part import Part

PAIRED_NAME, ROIS_NAME = "paired.json", "rois.csv"
MEASURES: tuple[Literal["d_pos", "d_neg", "r_pos"], ...] = ("d_pos", "d_neg", "r_pos")
MIN_PAIRS = 3


class FractionsPart(Part):
    """The fractions of a region in one section; None where there is nothing to have a part of."""

    d_pos: float | None
    d_neg: float | None
    r_pos: float | None


class RoiPart(Part):
    """A region of interest in both sections."""

    name: str
    x_px: float
    y_px: float
    width_px: float
    height_px: float
    """On the H&E slide, level-0 px."""
    common: float
    """The part of it that is tissue on the H&E and lies on the other slide: fractions are of that."""
    he: FractionsPart
    ihc: FractionsPart


class CorrelationPart(Part):
    """Pearson's r over regions, H&E against IHC."""

    r: float | None
    """None below three regions, or where one of the two does not vary."""
    low: float | None
    high: float | None
    """95 %, by Fisher's z; regions of one pair of slides are not independent patients."""
    bootstrap_low: float | None
    bootstrap_high: float | None
    """95 %, regions drawn again with replacement."""
    n: int
    """Regions that have this number in both sections."""


class Paired(Part):
    """`paired.json`."""

    schema_version: Literal[1] = 1
    notice: str = NOTICE
    code_version: str
    result_sha256: str
    """Of the `result.json` that was compared."""
    he_sha256: str
    ihc_sha256: str
    package: str
    measure: str
    registration: dict[str, Any]
    """Its quality; the map itself is in `registration.json`."""
    roi_um: tuple[float, float]
    seed: int
    brown_density: float
    blue_density: float
    rois: tuple[RoiPart, ...]
    left_out: int = Field(description="Regions that were less than half seen in both sections.")
    correlations: dict[str, CorrelationPart]


def correlation_of(pairs: Sequence[tuple[float | None, float | None]], seed: int) -> CorrelationPart:
    """Pearson's r of (H&E, IHC) numbers; pairs without one of them are left out."""
    both = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    if len(both) < MIN_PAIRS or not np.isfinite(pearson(both[:, 0], both[:, 1])):
        return CorrelationPart(r=None, low=None, high=None, bootstrap_low=None, bootstrap_high=None, n=len(both))
    found = correlate(both[:, 0], both[:, 1], seed)
    return CorrelationPart(
        r=found.r,
        low=found.low,
        high=found.high,
        bootstrap_low=found.bootstrap_low,
        bootstrap_high=found.bootstrap_high,
        n=found.n,
    )


def correlations_of(rois: Sequence[RoiPart], seed: int) -> dict[str, CorrelationPart]:
    """The three correlations of the paper.

    References
    ----------
    Liu et al. 2020, doi:10.3389/fmolb.2020.00183.
    """
    return {
        name: correlation_of([(getattr(roi.he, name), getattr(roi.ihc, name)) for roi in rois], seed)
        for name in MEASURES
    }


def roi_part(number: int, pair: RoiPair, place: Place) -> RoiPart:
    """A region as it is told."""
    box = pair.roi.box
    return RoiPart(
        name=f"roi-{number}",
        x_px=box.x * place.scale,
        y_px=box.y * place.scale,
        width_px=box.width * place.scale,
        height_px=box.height * place.scale,
        common=pair.common,
        he=_fractions(pair.he),
        ihc=_fractions(pair.ihc),
    )


def write_table(path: Path, rois: Sequence[RoiPart]) -> None:
    """Write the regions as CSV, one row each; an empty cell is no number."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [f"{name}_{section}" for section in ("he", "ihc") for name in MEASURES]
    table.writerow(["name", "x_px", "y_px", "width_px", "height_px", "common", *names])
    for roi in rois:
        numbers = [getattr(part, name) for part in (roi.he, roi.ihc) for name in MEASURES]
        table.writerow([roi.name, roi.x_px, roi.y_px, roi.width_px, roi.height_px, roi.common, *numbers])
    write_whole(path, text.getvalue().encode())


def write_outlines(path: Path, rois: Sequence[RoiPart], place: Place) -> None:
    """Write the regions as GeoJSON that `histoserve run --regions` and QuPath take."""
    features = [_feature(roi) for roi in rois]
    document = {"type": "FeatureCollection", "histoserve": place.metadata(), "features": features}
    write_whole(path, json.dumps(document, indent=1).encode())


def _feature(roi: RoiPart) -> dict[str, Any]:
    left, top, right, bottom = roi.x_px, roi.y_px, roi.x_px + roi.width_px, roi.y_px + roi.height_px
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "name": roi.name},
    }


def _fractions(found: Fractions) -> FractionsPart:
    return FractionsPart(d_pos=found.d_pos, d_neg=found.d_neg, r_pos=found.r_pos)
