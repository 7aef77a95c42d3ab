"""Numbers of results beside a truth of a few nuclei, worked by hand."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from models.errors import RefusedInputError
from training.phantom.judge import ANALYSES, judge_result

NUCLEI = [  # x_um, y_um, ki67, phase, area_um2
    (10.0, 10.0, True, "none", 60.0),
    (30.0, 10.0, False, "none", 20.0),
    (10.0, 40.0, False, "metaphase", 20.0),
    (200.0, 200.0, True, "telophase", 100.0),
]


@pytest.fixture
def truth(tmp_path) -> Path:
    names = ("x_um", "y_um", "ki67", "phase", "area_um2")
    table = pa.table(dict(zip(names, zip(*NUCLEI, strict=True), strict=True)))
    parquet.write_table(table, tmp_path / "truth.parquet")
    return tmp_path / "truth.parquet"


def made(folder: Path, scores: dict, points: list[tuple[float, float]] | None = None, name: str = "cells") -> Path:
    out = folder / "out"
    out.mkdir()
    (out / "result.json").write_text(json.dumps({"scores": {name: scores}, "slide": {"mpp": 0.5}}))
    if points is not None:
        columns = dict(zip(("x_um", "y_um"), map(list, zip(*points, strict=True)), strict=True))
        parquet.write_table(pa.table(columns), out / f"{name}.parquet")
    return out


def told(numbers) -> dict:
    return {n.name: (pytest.approx(n.value), n.n, n.found, n.true) for n in numbers}


def test_the_share_of_area_is_held_against_that_of_all_nuclei(tmp_path, truth):
    # 160 of 200 um2 are positive
    out = made(tmp_path, {"r_pos": 0.7}, name="areas")
    assert told(judge_result(out, truth, "ki67-he")) == {"R_pos": (0.1, 4, 0.7, 0.8)}


def test_the_virtual_index_is_held_against_the_share_of_nuclei(tmp_path, truth):
    out = made(tmp_path, {"r_pos": 0.7}, name="areas")
    assert told(judge_result(out, truth, "virtual-ihc")) == {"index": (0.2, 4, 0.7, 0.5)}


def test_detections_are_nuclei_within_five_um(tmp_path, truth):
    out = made(tmp_path, {"count": 3}, [(13.0, 14.0), (30.0, 15.1), (200.0, 200.0)])
    # the first is 5 um away, the second 5.1: two of three found, of four true
    assert told(judge_result(out, truth, "nuclei")) == {"F1": (4 / 7, 7, 3, 4)}


def test_figures_alone_count_for_mitoses_and_the_hotspot_for_what_it_holds(tmp_path, truth):
    # a disc of 0.01 mm2 has a radius of 56.4 um: no disc holds both figures
    disc = {"x_px": 20.0, "y_px": 80.0, "radius_px": 112.8, "area_mm2": 0.01, "count": 2}
    points = [(10.0, 40.0), (30.0, 10.0)]
    out = made(tmp_path, {"count": 2, "hotspot": disc}, points, "points")
    assert told(judge_result(out, truth, "mitosis")) == {
        "F1": (0.5, 4, 2, 2),
        "precision": (0.5, 2, 1, 2),
        "recall": (0.5, 2, 1, 2),
        "hotspot": (1.0, 1, 1, 1),
    }


def test_a_hotspot_beside_the_figures_holds_none(tmp_path, truth):
    disc = {"x_px": 2000.0, "y_px": 80.0, "radius_px": 112.8, "area_mm2": 0.01, "count": 1}
    out = made(tmp_path, {"count": 1, "hotspot": disc}, [(1000.0, 40.0)], "points")
    assert told(judge_result(out, truth, "mitosis"))["hotspot"] == (0.0, 1, 0, 1)


def test_cells_of_an_ihc_are_counted_in_percent(tmp_path, truth):
    out = made(tmp_path, {"cells": {"percent_pos": 40.0}}, name="ihc-cells")
    columns = {"x_um": [n[0] for n in NUCLEI] + [500.0], "y_um": [n[1] for n in NUCLEI] + [500.0]}
    # the last one is too small to count
    parquet.write_table(pa.table(columns | {"counted": [True] * 4 + [False]}), out / "ihc-cells.parquet")
    assert told(judge_result(out, truth, "deepliif")) == {
        "percent positive": (10.0, 4, 40.0, 50.0),
        "F1": (1.0, 8, 4, 4),
    }


@pytest.mark.parametrize("analysis", [*ANALYSES, "palmistry"])
def test_a_result_of_something_else_is_refused(tmp_path, truth, analysis):
    with pytest.raises(RefusedInputError):
        judge_result(made(tmp_path, {"count": 0}), truth, analysis)
