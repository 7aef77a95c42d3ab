"""Cells judged by hand: which count, which are positive, their bands, and what is told of them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from workers.engine.ihc_scores import IhcSums, add_rows, judge, region_shares, tell_bands, tell_fields
from workers.geometry import Box
from workers.measures.ihc_cells import FoundCells
from workers.outputs.ihc_table import judged_writer, read_components, read_facts, write_components
from workers.outputs.place import Place
from workers.regions import Shape
from workers.result_scores import IhcThresholdsPart

PLACE = Place(mpp=0.5, level0_mpp=0.25, bounds=Box(0, 0, 400, 400))
THRESHOLDS = IhcThresholdsPart(
    seg=120,
    green=80,
    resolution="40x",
    noise_px=4,
    largest_side_px=256,
    size_px=10,
    size_source="given",
    size_upper_px=100,
    marker=200,
    moderate_dab=0.4,
    strong_dab=0.6,
)
# size, positive, negative, marker, dab: counted and band behind
CELLS = [
    (10, 10, 0, 0, 0.9),  # not above the threshold
    (11, 6, 5, 0, 0.2),  # weak
    (50, 25, 25, 0, 0.4),  # a draw is positive; moderate
    (99, 60, 39, 0, 0.6),  # strong
    (100, 60, 40, 0, 0.7),  # not below the upper threshold
    (40, 0, 40, 200, 0.7),  # negative: the marker is not above
    (40, 0, 40, 201, 0.1),  # positive by its marker; weak
]
COUNTED = [False, True, True, True, False, True, True]
BANDS = ["3+", "1+", "2+", "3+", "3+", "0", "1+"]


def found(with_stains=True) -> FoundCells:
    size, positive, negative, marker, dab = (np.array(column) for column in zip(*CELLS, strict=True))
    count = len(CELLS)
    corners = np.array([(0, 0), (2, 0), (2, 2), (0, 2)], np.int32)
    return FoundCells(
        x=np.arange(count) * 10 + 5.0,
        y=np.full(count, 7.5),
        size_px=size,
        positive_px=positive,
        negative_px=negative,
        marker=marker if with_stains else None,
        marker_mean=marker / 2 if with_stains else None,
        od=marker if with_stains else None,
        dab_od=dab if with_stains else None,
        starts=np.arange(count + 1) * 4,
        points=np.concatenate([corners + np.array((10 * k, 4), np.int32) for k in range(count)]),
    )


def written(folder, cells):
    write_components(folder / "found.parquet", [cells], PLACE, lambda: {"seg": 120, "noise": 3})
    sums = IhcSums()
    facts = read_facts(folder / "found.parquet")
    with judged_writer(folder, "ihc-cells", PLACE, facts) as write:
        for rows in read_components(folder / "found.parquet"):
            judged = judge(rows, THRESHOLDS)
            write(rows, judged)
            add_rows(sums, rows, judged, PLACE)
    return sums


@pytest.fixture(scope="module")
def folder_and_sums(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ihc")
    return folder, written(folder, found())


def test_cells_are_judged_as_by_hand(folder_and_sums):
    folder, sums = folder_and_sums
    table = pq.read_table(folder / "ihc-cells.parquet")
    assert table["counted"].to_pylist() == COUNTED
    assert table["band"].to_pylist() == BANDS
    assert table["class"].to_pylist() == ["negative" if band == "0" else "positive" for band in BANDS]
    assert (sums.total, sums.positive) == (5, 4)
    assert table["x_px"].to_pylist()[:2] == [10.0, 30.0] and table["y_um"][0].as_py() == 3.75
    assert table["area_um2"].to_pylist()[1] == 11 * 0.25
    assert read_facts(folder / "ihc-cells.parquet") == {"seg": 120, "noise": 3}


def test_the_h_score_by_hand(folder_and_sums):
    bands = tell_bands(folder_and_sums[1])
    assert (bands.negative, bands.weak, bands.moderate, bands.strong) == (1, 2, 1, 1)
    # 40 % weak, 20 % moderate, 20 % strong
    assert bands.h_score == pytest.approx(40 + 2 * 20 + 3 * 20)


def test_shapes_are_of_the_cells_that_count(folder_and_sums):
    features = json.loads((folder_and_sums[0] / "ihc-cells.geojson").read_text())["features"]
    assert [feature["properties"]["cell"] for feature in features] == [1, 2, 3, 5, 6]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert names == ["positive 1+", "positive 2+", "positive 3+", "negative", "positive 1+"]
    # the second cell's square, in level-0 px
    assert features[0]["geometry"]["coordinates"] == [[[20, 8], [24, 8], [24, 12], [20, 12], [20, 8]]]


def test_the_csv_has_what_the_table_has(folder_and_sums):
    lines = (folder_and_sums[0] / "ihc-cells.csv").read_text().splitlines()
    assert len(lines) == len(CELLS) + 1
    assert lines[0].replace('"', "").startswith("cell,x_px,y_px") and "outline" not in lines[0]
    assert lines[2].startswith("1,30,15,7.5,3.75,2.75,positive,1+,true,11,6,5,0,0,0,0.2")


def test_regions_hold_the_cells_that_count_in_them(folder_and_sums):
    edges = np.array([(0, 0, 0, 400), (0, 400, 80, 400), (80, 400, 80, 0), (80, 0, 0, 0)], float)
    (share,) = region_shares(folder_and_sums[0] / "ihc-cells.parquet", [Shape("left", edges)])
    # at 30, 50 and 70 px three count and are positive; that at 10 is too small, that at 90 is outside
    assert (share.num_total, share.num_pos, share.percent_pos) == (3, 3, 100.0)


def test_fields_are_in_level_0_px(folder_and_sums):
    fields = tell_fields(folder_and_sums[1], 3, PLACE)
    # the counting cells lie at 15, 25, 35, 55 and 65 px of the map
    assert (fields.densest.x_px, fields.densest.radius_px) == (50.0, 20.0)
    assert fields.densest.cells.num_pos == 3
    assert fields.densest.area_mm2 == pytest.approx(np.pi * 0.005**2)
    assert tell_fields(folder_and_sums[1], 6, PLACE).hottest is None


def test_without_stains_there_are_no_bands(tmp_path):
    sums = written(tmp_path, found(with_stains=False))
    assert tell_bands(sums) is None
    # without a marker the last cell is negative
    assert (sums.total, sums.positive) == (5, 3)
    assert pq.read_table(tmp_path / "ihc-cells.parquet")["band"].null_count == len(CELLS)
