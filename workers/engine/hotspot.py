"""The hotspots of a slide's detections: where discs hold most of them, how many they hold usually, and the grade."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest
from models.measures_spec import PointsMeasure
from workers.measures.grades import grade
from workers.measures.hotspots import DensestDisc, densest_discs, percentile_count, radius_of
from workers.measures.points import Point
from workers.outputs.place import Place
from workers.plan import Plan
from workers.result_scores import DiscPart, GradePart, HotspotPart

STEP_UM = 50.0
"""About so far apart are the positions at which counts are taken: a sixteenth of the radius of 2 mm2."""

Positions = NDArray[np.float64]


@dataclass(frozen=True)
class FoundHotspot:
    """One of the densest discs, and what it holds."""

    disc: DensestDisc
    points: tuple[Point, ...]
    """The detections that count for it, strongest first."""


def find_hotspots(points: Sequence[Point], place: Place, most: int, area_mm2: float) -> tuple[FoundHotspot, ...]:
    """The densest disc, then the densest of the detections that are in none before, up to `most`.

    Parameters
    ----------
    points
        Strongest first.
    place
        Of the map that the points lie on.
    """
    found = densest_discs(_in_um(points, place), most, area_mm2)
    return tuple(FoundHotspot(disc, tuple(points[index] for index in inside)) for disc, inside in found)


def tell_hotspots(
    found: Sequence[FoundHotspot], points: Sequence[Point], place: Place, plan: Plan, measure: PointsMeasure
) -> dict[str, Any]:
    """What the scores say of them: `hotspot`, `hotspots` and, where the package grades, `grade`.

    Of the whole slide: `hotspot` is the densest disc, without a detection its count is 0 and it has no place; its
    `percentile_95` is over positions `step_um` apart on the analysed tissue whose disc holds a detection, and None
    where there is none.
    """
    area_mm2 = measure.hotspot_mm2
    if area_mm2 is None:
        return {}
    positions_um, step_um = tissue_positions(plan)
    usual = percentile_count(_in_um(points, place), positions_um, area_mm2)
    discs = [
        DiscPart(
            count=hotspot.disc.count,
            x_px=hotspot.disc.x_um / place.level0_mpp,
            y_px=hotspot.disc.y_um / place.level0_mpp,
            radius_px=hotspot.disc.radius_um / place.level0_mpp,
        )
        for hotspot in found
    ]
    densest = HotspotPart(
        area_mm2=area_mm2,
        count=discs[0].count if discs else 0,
        x_px=discs[0].x_px if discs else None,
        y_px=discs[0].y_px if discs else None,
        radius_px=radius_of(area_mm2) / place.level0_mpp,
        percentile_95=usual,
        step_um=step_um,
    )
    return {
        "hotspot": densest.model_dump(),
        "hotspots": [disc.model_dump() for disc in discs],
        **_tell_grade(usual or 0.0, measure),
    }


def _tell_grade(score: float, measure: PointsMeasure) -> dict[str, Any]:
    if measure.theta1 is None or measure.theta2 is None:
        return {}
    part = GradePart.model_validate(
        {
            "grade": grade(score, measure.theta1, measure.theta2),
            "proliferation_score": score,
            "theta1": measure.theta1,
            "theta2": measure.theta2,
        }
    )
    return {"grade": part.model_dump()}


def unfilled_texts(manifest: Manifest, analysed_mm2: float) -> list[str]:
    """What the reader must know of each hotspot that is larger than the tissue that was analysed."""
    wanted = [measure.hotspot_mm2 for measure in manifest.measures if isinstance(measure, PointsMeasure)]
    return [
        f"Only {analysed_mm2:.2g} mm2 of tissue were analysed, less than the {area_mm2:g} mm2 of a hotspot: its count, "
        "and a grade by it, are not those of a whole one."
        for area_mm2 in wanted
        if area_mm2 is not None and analysed_mm2 < area_mm2
    ]


def tissue_positions(plan: Plan) -> tuple[Positions, float]:
    """(positions (n, 2) in um on an even grid over the analysed tissue, how far they are apart)."""
    side_um = plan.grid.cell_px * plan.frame.mpp
    per_side = max(1, round(side_um / STEP_UM))
    rows, columns = np.nonzero(plan.analysed)
    offsets = (np.arange(per_side) + 0.5) / per_side
    xs = columns[:, None, None] + offsets[None, None, :] + np.zeros((1, per_side, 1))
    ys = rows[:, None, None] + offsets[None, :, None] + np.zeros((1, 1, per_side))
    return np.stack((xs.ravel(), ys.ravel()), axis=1) * side_um, side_um / per_side


def _in_um(points: Sequence[Point], place: Place) -> Positions:
    return np.array([(point.x, point.y) for point in points]).reshape(-1, 2) * place.mpp
