"""The densest disc in real spatial patterns of mitoses (MIDOG++, coordinates alone) against trying everything."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from workers.measures.hotspots import SLACK, densest_disc, densest_discs, disc_counts, radius_of

MPP = 0.25
MITOSIS = 1
APART_UM = 5000.0
"""Regions are laid so far from each other on one plane that no disc of 2 mm2 holds points of two."""


@pytest.fixture(scope="module")
def regions(data_dir: Path) -> list[np.ndarray]:
    """(n, 2) um of the mitoses of each region that has any."""
    document = json.loads((data_dir / "mitosis_coordinates" / "MIDOG++.json").read_bytes())
    found: dict[int, list[tuple[float, float]]] = {}
    for mark in document["annotations"]:
        if mark["category_id"] == MITOSIS:
            left, top, right, bottom = mark["bbox"]
            found.setdefault(mark["image_id"], []).append(((left + right) / 2 * MPP, (top + bottom) / 2 * MPP))
    return [np.array(points) for _, points in sorted(found.items())]


def most_in_any_disc(points: np.ndarray, radius: float) -> int:
    """Around every point, every crossing of two circles: one of these discs holds as many as any can."""
    first, second = np.triu_indices(len(points), 1)
    apart = points[second] - points[first]
    length = np.hypot(*apart.T)
    meet = (length > 0) & (length <= 2 * radius * (1 + SLACK))
    apart, length, middle = apart[meet], length[meet], (points[first] + points[second])[meet] / 2
    away = np.sqrt(np.maximum(0.0, radius**2 - (length / 2) ** 2)) / length
    step = np.stack((-apart[:, 1], apart[:, 0]), axis=1) * away[:, None]
    centres = np.concatenate((points, middle - step, middle + step))
    parts = np.array_split(centres, 1 + len(centres) * len(points) // 1_000_000)
    counts = [(np.hypot(*(part[:, None] - points).transpose(2, 0, 1)) <= radius * (1 + SLACK)).sum(1) for part in parts]
    return int(np.concatenate(counts).max())


@pytest.mark.parametrize("area_mm2", [0.02, 0.2, 2.0])
def test_in_real_regions_no_disc_holds_more(regions, area_mm2):
    radius, ordered = radius_of(area_mm2), sorted(regions, key=len)
    assert (len(ordered), len(ordered[-1])) == (475, 239)
    # one region in twelve, from a single mitosis to the most crowded
    for points in ordered[6::12]:
        found = densest_disc(points, area_mm2)
        assert found.count == most_in_any_disc(points, radius)
        assert disc_counts(points, np.array([[found.x_um, found.y_um]]), area_mm2).tolist() == [found.count]


def test_all_real_regions_on_one_plane_give_the_fullest_of_them_in_order(regions):
    side = math.ceil(math.sqrt(len(regions)))
    places = APART_UM * np.stack(np.divmod(np.arange(len(regions)), side), axis=1)
    plane = np.concatenate([points + place for points, place in zip(regions, places, strict=True)])
    assert len(plane) == 11_937
    most = sorted((most_in_any_disc(points, radius_of(2.0)) for points in regions if len(points) >= 100), reverse=True)
    found = densest_discs(plane, 3)
    # The three fullest lie in regions of their own: what is left of the first is less than the third.
    assert [disc.count for disc, _ in found] == most[:3]
    held = np.concatenate([inside for _, inside in found])
    assert len(held) == len(set(held.tolist())) == sum(most[:3])
