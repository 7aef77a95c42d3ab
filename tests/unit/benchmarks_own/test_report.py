"""The report is rendered from what is there: goals judged, parts nobody knows told as they are."""

import pytest

from benchmarks.limits_table import stage_shares
from benchmarks.report import figure, render

SPREAD = {"median": 4.5, "min": 4.0, "max": 5.0, "n": 3}
STAGES = {"stream": 6.0, "infer": 5.0, "total": 9.0, "measure": 2.97, "digest": 0.03, "process start and end": 1.0}
PACKAGE = {
    "gflop_per_tile": 12.34,
    "network_gflops": SPREAD,
    "network_fraction_of_peak": SPREAD | {"median": 0.5},
    "stream_fraction_of_peak": SPREAD | {"median": 0.4},
    "stream_over_network": SPREAD | {"median": 0.99},
    "whole_run": {
        "tissue_mm2": 2.0,
        "tflop_per_mm2_of_tissue": 0.25,
        "wall_s": 10.0,
        "s_per_mm2": 5.0,
        "gflops_of_the_whole": 40.0,
        "stages_s": STAGES,
    },
}
REPORT = {
    "novel": {"slides": 12, "rate": SPREAD, "inside": {"files_bytes": 2_500_000, "names": ["a", "b"]}},
    "reading": {
        "measured": "2026-01-02T03:04:05+00:00",
        "machine": {"processor": "X", "cores": 2, "load_average": [0.5, 1, 2], "packages": {"numpy": "2"}},
        "ratio_to_tiffslide": SPREAD,
        "ratio_to_raw_decode": SPREAD | {"median": 0.5},
    },
    "memory": {"largest_over_smallest": 1.2},
    "limits": {
        "peaks_gflops": {"1": {"numpy product float32": SPREAD}, "2": {"numpy product float32": SPREAD}},
        "decode": {"one_core_mpix_per_s": SPREAD},
        "disk_write_mb_per_s": SPREAD,
        "packages": {
            "a@1": PACKAGE,
            "b@1": PACKAGE | {"stream_over_network": SPREAD | {"median": 0.5}},
            "c@1": {"left_out": "no ONNX"},
        },
    },
    "growth": {"by_tissue": {"cpu_exponent": {"exponent": 1.01, "low": None, "high": None, "n": 3}}},
}


def lines() -> list[str]:
    return render(REPORT).splitlines()


def test_goals_are_judged():
    told = lines()
    assert "| Reading, times tiffslide | at least 4 | 4.5 (4 to 5) | met |" in told
    assert "| Reading, of one core's raw decode | at least 0.65 | 0.5 (4 to 5) | **missed** |" in told
    assert "| Memory, largest slide over smallest | at most 1.1 | 1.2 | **missed** |" in told
    assert "| End to end, of the network alone, a@1 | at least 0.95 | 0.99 (4 to 5) | met |" in told
    assert "| End to end, of the network alone, b@1 | at least 0.95 | 0.5 (4 to 5) | **missed** |" in told
    assert "| Time against tissue, exponent | at most 1.05 | 1.01 (not known to not known) | met |" in told


def test_an_unknown_part_is_told_as_it_is_and_comes_last():
    told = lines()
    headings = [line for line in told if line.startswith("## ")]
    assert headings[-1] == "## novel"
    assert headings[0] == "## Reading a JPEG pyramid"
    assert "* slides: 12" in told
    assert "| rate | 4.5 | 4 | 5 | 3 |" in told
    assert "* files: 2.5 MB" in told
    assert "* names: a, b" in told


def test_a_part_says_on_what_it_was_measured():
    assert "measured 2026-01-02T03:04:05+00:00; X; 2 cores; load 0.5, 1.0, 2.0 (1, 5, 15 min); numpy 2." in lines()


def test_rows_are_a_table():
    told = render({"novel": {"ways": [{"way": "a", "tiles_per_s": 1.25}, {"way": "b", "left_out": "too large"}]}})
    assert "| way | tiles per s | left out |" in told
    assert "| b |  | too large |" in told


def test_limits_say_where_the_seconds_go():
    told = lines()
    assert "| numpy product float32 | 4 (5) | 4 (5) |" in told
    row = "| a@1 | 12.3 | 0.25 | 4 | 50% (400% to 500%) | 40% (400% to 500%) | 0.99 | 5.00 | 40 |"
    assert row in told
    assert "| c@1 | no ONNX | | | | | | | |" in told
    shares = "stream 60%, measure 30%, process start and end 10%, others 0%"
    assert f"* a@1, 10.0 s for 2.00 mm2: {shares}" in told
    assert stage_shares(STAGES, 10.0)["others"] == pytest.approx(0.003)


def test_figures():
    assert [figure(value) for value in (3, SPREAD, {"exponent": 1.5, "low": 1, "high": 2})] == [3.0, 4.5, 1.5]


def test_nothing_measured_is_an_empty_report():
    assert render({}).startswith("# What was measured")
    assert "| goal |" not in render({})
