import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.deepliif import slow
from tests.unit.deepliif.making import mask_of, masks, picture_for
from workers.deepliif.cells import Cells, find_cells
from workers.deepliif.scoring import score_cells
from workers.deepliif.thresholds import (
    SIDE_PX,
    Thresholds,
    default_marker_threshold,
    default_size_threshold,
    is_no_noise,
    resolution_of,
)

EVERYTHING = Thresholds(noise_px=0, size_px=0)


def table(sizes, positive=None, marker=None, od=None, histogram=None):
    count = len(sizes)
    votes = np.array(positive if positive is not None else [0] * count)
    return Cells(
        width_px=1000,
        height_px=1000,
        first=np.arange(count),
        size_px=np.array(sizes),
        positive_px=votes,
        negative_px=1 - votes,
        centre_px=np.zeros((count, 2), np.int64),
        box_px=np.zeros((count, 4), np.int64),
        marker=None if marker is None else np.array(marker),
        od=None if od is None else np.array(od),
        marker_histogram=None if marker is None else np.zeros(256, np.int64) if histogram is None else histogram,
    )


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.one_of(st.integers(5, 40), st.integers(5, 400), st.integers(300, 20_000)), max_size=30),
    st.sampled_from(["10x", "20x", "40x"]),
)
def test_the_default_size_threshold_is_that_of_the_slow_rule(sizes, resolution):
    assert default_size_threshold(np.array(sizes, np.int64), resolution) == slow.size_threshold(
        sizes, SIDE_PX[resolution]
    )


@pytest.mark.parametrize(
    ("sizes", "resolution", "expected"),
    [
        ([900], "40x", 0),  # one cell
        ([900] * 5, "40x", 16),  # no dip: 0, raised to the lowest, 4 squared
        ([900] * 5, "10x", 4),
        ([100, 900], "40x", 49),  # the dip at 20 is above the highest: the usual one, 7
        ([100, 900], "20x", 16),
        ([100, 900], "10x", 4),
    ],
)
def test_default_size_thresholds(sizes, resolution, expected):
    assert default_size_threshold(np.array(sizes), resolution) == expected


def test_a_dip_between_the_limits_is_the_threshold():
    # Square roots 4 and 12: the dip lies half way at 8, and the point before it, 307 x 13 / 500 = 7.982, is squared.
    assert default_size_threshold(np.array([16, 144]), "40x") == slow.size_threshold([16, 144], SIDE_PX["40x"]) == 64


def test_many_different_sizes_take_parts():
    sizes = np.arange(5, 2600)
    assert default_size_threshold(sizes, "40x") == slow.size_threshold(sizes[::20].tolist(), SIDE_PX["40x"]) == 16


@pytest.mark.parametrize(("tile", "expected"), [(512, "40x"), (385, "40x"), (384, "20x"), (193, "20x"), (192, "10x")])
def test_the_tile_says_the_resolution(tile, expected):
    assert resolution_of(tile) == expected


def test_noise():
    sizes = np.array([4, 5, 999, 1000, 15_999, 16_000])
    assert is_no_noise(sizes, Thresholds()).tolist() == [False, True, True, True, True, True]
    assert is_no_noise(sizes, Thresholds(large_noise_px="default")).tolist() == [False, True, True, True, True, False]
    ten = Thresholds(large_noise_px="default", resolution="10x")
    assert is_no_noise(sizes, ten).tolist() == [False, True, True, False, False, False]


def test_sizes_at_the_limits_do_not_count():
    score = score_cells(table([49, 50, 99, 100]), Thresholds(size_px=49, size_upper_px=100))
    assert score.is_counted.tolist() == [False, True, True, False]


def test_noise_does_not_shift_the_default_threshold():
    sizes = [1] * 50 + [16] * 3 + [144] * 5
    assert score_cells(table(sizes), Thresholds()).size_thresh == slow.size_threshold(
        [16] * 3 + [144] * 5, SIDE_PX["40x"]
    )


def test_a_marker_above_its_threshold_makes_a_cell_positive():
    cells = table([90] * 4, [1, 0, 0, 0], [10, 99, 100, 101])
    score = score_cells(cells, Thresholds(size_px=0, marker=100))
    assert score.is_positive.tolist() == [True, False, False, True]
    assert score.marker_thresh == 100
    assert score_cells(cells, Thresholds(size_px=0)).is_positive.tolist() == [True, False, False, False]


def test_the_default_marker_threshold_by_hand():
    histogram = np.zeros(256, np.int64)
    histogram[[0, 10, 20, 200]] = 5000, 1, 999, 1
    # 1001 values: places 1 and 999 of 0..1000 hold 20 and 20; without black ones only.
    assert default_marker_threshold(histogram) == 20
    histogram[[10, 200]] = 2, 3
    # 1004 values: place 1.003 lies between 10 (place 1) and 20 (place 2): 10.03. Place 1001.997 holds 200.
    # So 0.9 x 190 + 10.
    assert default_marker_threshold(histogram) == 181
    assert default_marker_threshold(np.zeros(256, np.int64)) == 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=60))
def test_the_default_marker_threshold_is_that_of_all_pixels(values):
    values = np.array(values)
    lit = values[values > 0]
    low, high = (round(float(p)) for p in np.percentile(lit, [0.1, 99.9])) if len(lit) else (0, 0)
    assert default_marker_threshold(np.bincount(values, minlength=256)) == round(0.9 * (high - low)) + low


def test_optical_density_only_demotes():
    cells = table([90] * 4, [1, 1, 1, 0], od=[49, 50, 151, 100])
    score = score_cells(cells, Thresholds(size_px=0, od_lower=50, od_upper=150))
    assert score.is_positive.tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="found with the stained image"):
        score_cells(table([90]), Thresholds(od_lower=1))


def test_the_numbers_as_they_are_written():
    score = score_cells(table([90, 90, 90], [1, 0, 0], [1, 2, 3]), Thresholds(size_px=20, size_upper_px=500, marker=9))
    assert score.numbers() == {
        "num_total": 3,
        "num_pos": 1,
        "num_neg": 2,
        "percent_pos": 33.3,
        "seg_thresh": 120,
        "size_thresh": 20,
        "size_thresh_upper": 500,
        "marker_thresh": 9,
    }
    nothing = score_cells(table([]), Thresholds(marker=9)).numbers()
    assert list(nothing.values()) == [0, 0, 0, 0, 120, 0, None, None]


options = st.builds(
    Thresholds,
    noise_px=st.integers(0, 5),
    large_noise_px=st.sampled_from([None, 20]),
    size_px=st.one_of(st.just("default"), st.integers(0, 20)),
    size_upper_px=st.sampled_from([None, 9, 30]),
    marker=st.sampled_from([None, "default", 200, 250]),
    od_lower=st.sampled_from([None, 90]),
    od_upper=st.sampled_from([None, 140]),
)


@settings(max_examples=15, deadline=None)
@given(masks, options)
def test_scoring_again_gives_what_the_slow_rules_give_from_the_pixels(seg, chosen):
    marker, ihc = picture_for(seg, 1), picture_for(seg, 2)
    cells, _ = find_cells(seg, Thresholds(), marker=marker, ihc=ihc)
    kind = slow.classes(seg)
    rows = [slow.facts(pixels, kind, marker, ihc) for pixels in slow.components(kind)]
    large = chosen.large_noise_px or 10**9
    kept = [row for row in rows if chosen.noise_px < row["size"] < large]
    size = chosen.size_px
    if size == "default":
        size = slow.size_threshold([row["size"] for row in kept], SIDE_PX["40x"])
    lit = marker.max(2)[marker.max(2) > 0]
    gate = chosen.marker
    if gate == "default":
        low, high = (round(float(p)) for p in np.percentile(lit, [0.1, 99.9])) if len(lit) else (0, 0)
        gate = round(0.9 * (high - low)) + low
    counted = [row for row in kept if size < row["size"] < (chosen.size_upper_px or 10**9)]
    positive = 0
    for row in counted:
        is_positive = row["votes"][0] >= row["votes"][1] or (gate is not None and row["marker"] > gate)
        too_light = chosen.od_lower is not None and row["od"] < chosen.od_lower
        too_dark = chosen.od_upper is not None and row["od"] > chosen.od_upper
        positive += is_positive and not too_light and not too_dark
    score = score_cells(cells, chosen)
    assert (score.total, score.positive, score.size_thresh) == (len(counted), positive, size)
    assert score.marker_thresh == gate


def test_green_and_seg_are_of_the_table():
    cells, _ = find_cells(mask_of(["rr", "rr"]), Thresholds())
    assert score_cells(cells, dataclasses.replace(EVERYTHING, resolution="20x")).numbers()["num_pos"] == 1
