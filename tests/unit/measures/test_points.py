import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from models.measures_spec import PointsMeasure
from workers.measures import points as points_module
from workers.measures.cells import Block, Tally
from workers.measures.points import find_points, suppress


def _measure(**changes):
    values = {"output": "heat", "component_threshold": 0.3, "detection_threshold": 0.6, "min_distance_um": 5.0}
    return PointsMeasure(**{**values, "label": "mitosis", **changes})


def _points(heat, measure, block_px=64, tally=None):
    def read(box):
        part = heat[box.y : box.bottom, box.x : box.right]
        return Block(part > 0, part) if part.any() else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points_module, "BLOCK_PX", block_px)
        return find_points(read, heat.shape[1], heat.shape[0], measure, 0.5, tally=tally)


def _slow(heat, measure, mpp=0.5):
    labels, count = ndimage.label(heat >= measure.component_threshold * 255)
    found = []
    for index in range(1, count + 1):
        ys, xs = np.nonzero(labels == index)
        weight = heat[ys, xs].astype(float)
        if weight.max() >= measure.detection_threshold * 255:
            x, y = np.average(xs + 0.5, weights=weight), np.average(ys + 0.5, weights=weight)
            found.append((weight.max() / 255, x, y))
    kept = []
    for point in sorted(found, key=lambda p: (-p[0], p[2], p[1])):
        if all(np.hypot(point[1] - k[1], point[2] - k[2]) * mpp >= measure.min_distance_um for k in kept):
            kept.append(point)
    return kept


def _heat(seed, width, height):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), 2)
    span = np.ptp(noise) or 1
    return ((noise - noise.min()) / span * 255).astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(
    st.builds(_heat, seed=st.integers(0, 2**32 - 1), width=st.integers(20, 120), height=st.integers(20, 120)),
    st.sampled_from([0.5, 0.6, 0.75]),
    st.sampled_from([0.0, 4.0, 12.0]),
)
def test_points_are_those_of_the_whole_image_for_any_block_size(heat, threshold, distance):
    measure = _measure(component_threshold=threshold, detection_threshold=0.8, min_distance_um=distance)
    expected = _slow(heat, measure)
    found = [_points(heat, measure, side) for side in (16, 33, 1000)]
    assert all(points == found[0] for points in found[1:])
    np.testing.assert_allclose(
        [(p.probability, p.x, p.y) for p in found[0]], np.array(expected).reshape(-1, 3), atol=1e-9
    )
    assert [p.index for p in found[0]] == list(range(len(expected)))


def test_what_is_weak_or_next_to_a_stronger_one_is_counted_but_not_kept():
    heat = np.zeros((60, 60), dtype=np.uint8)
    heat[10, 10], heat[10, 14], heat[40, 40], heat[50, 10] = 250, 200, 100, 160
    tally = Tally()
    points = _points(heat, _measure(), tally=tally)
    assert [(p.x, p.y, p.probability) for p in points] == [(10.5, 10.5, 250 / 255), (10.5, 50.5, 160 / 255)]
    assert (tally.kept, tally.too_small, tally.too_large) == (2, 2, 0)


def test_a_map_that_says_yes_everywhere_is_no_detection(monkeypatch):
    monkeypatch.setattr(points_module, "MAX_COMPONENT_PX", 50)
    tally = Tally()
    assert _points(np.full((60, 60), 255, dtype=np.uint8), _measure(), 16, tally) == []
    assert tally.too_large == 1


def test_heat_is_needed():
    with pytest.raises(ValueError, match="heat"):
        find_points(lambda box: Block(np.ones((box.height, box.width), dtype=bool)), 9, 9, _measure(), 0.5)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(0, 40), st.just(2)), elements=st.integers(0, 30)), st.integers(0, 12)
)
def test_suppression_keeps_the_first_of_those_that_are_near(places, distance):
    kept = suppress(places, float(distance)).tolist()
    slow: list[int] = []
    for index, place in enumerate(places):
        if all(np.hypot(*(place - places[k])) >= distance for k in slow):
            slow.append(index)
    assert kept == slow
