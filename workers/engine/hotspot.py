"""The hotspot of a slide's detections: where a disc holds the most of them, and how many it holds usually."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.measures.hotspots import densest_disc, percentile_count, radius_of
from workers.measures.points import Point
from workers.outputs.place import Place
from workers.plan import Plan

STEP_UM = 50.0
"""About so far apart are the positions at which counts are taken: a sixteenth of the radius of 2 mm2."""

Positions = NDArray[np.float64]


def tell_hotspot(points: Sequence[Point], place: Place, plan: Plan, area_mm2: float) -> dict[str, Any]:
    """What the scores say of the hotspot; without a detection its count is 0 and it has no place.

    Of the whole slide: `count` and the centre are the densest disc's; `percentile_95` is over positions `step_um` apart
    on the analysed tissue whose disc holds a detection, and None where there is none.

    Parameters
    ----------
    place
        Of the map that the points lie on.
    """
    points_um = np.array([(point.x, point.y) for point in points]).reshape(-1, 2) * place.mpp
    disc = densest_disc(points_um, area_mm2)
    positions_um, step_um = tissue_positions(plan)
    return {
        "area_mm2": area_mm2,
        "count": 0 if disc is None else disc.count,
        "x_px": None if disc is None else disc.x_um / place.level0_mpp,
        "y_px": None if disc is None else disc.y_um / place.level0_mpp,
        "radius_px": radius_of(area_mm2) / place.level0_mpp,
        "percentile_95": percentile_count(points_um, positions_um, area_mm2),
        "step_um": step_um,
    }


def tissue_positions(plan: Plan) -> tuple[Positions, float]:
    """(positions (n, 2) in um on an even grid over the analysed tissue, how far they are apart)."""
    side_um = plan.grid.cell_px * plan.frame.mpp
    per_side = max(1, round(side_um / STEP_UM))
    rows, columns = np.nonzero(plan.cells)
    offsets = (np.arange(per_side) + 0.5) / per_side
    xs = columns[:, None, None] + offsets[None, None, :] + np.zeros((1, per_side, 1))
    ys = rows[:, None, None] + offsets[None, :, None] + np.zeros((1, 1, per_side))
    return np.stack((xs.ravel(), ys.ravel()), axis=1) * side_um, side_um / per_side
