"""Clamped tiles: DeepLIIF's places, worked by hand, and what they keep against tiles written over one another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.manifest import GridSpec, Manifest, OutputSpec
from tests.toy_predictor import toy_manifest
from workers.clamped import Span, clamped_spans, clamped_starts
from workers.deepliif.grid import compat_tiles
from workers.engine.analysed import read_plan, write_analysed
from workers.geometry import Box, Frame
from workers.plan import Grid, Plan, cell_shape, choose_grid, make_plan


def plan_of(width: int, height: int, side: int, halo: int, shard: int) -> Plan:
    frame = Frame(0.25, width, height, 0.25, Box(0, 0, width, height))
    grid = Grid(side - 2 * halo, halo, align_px=1, cell_px=16, shard_px=shard, is_clamped=True)
    return make_plan(frame, grid, np.ones(cell_shape(frame, grid), bool))


@pytest.mark.parametrize(
    ("length", "starts", "firsts"),
    [
        (300, (0,), (0,)),
        (512, (0,), (0,)),
        (513, (0, 1), (0, 33)),
        (960, (0, 448, 448), (0, 480)),
        (1100, (0, 448, 588), (0, 480, 620)),
        (1408, (0, 448, 896, 896), (0, 480, 928)),
        (4096, (*range(0, 3585, 448), 3584), (0, *range(480, 3617, 448))),
    ],
)
def test_places_worked_by_hand(length: int, starts: tuple[int, ...], firsts: tuple[int, ...]) -> None:
    assert clamped_starts(length, 512, 32) == starts
    spans = clamped_spans(length, 512, 32)
    assert [span.first for span in spans] == list(firsts)
    assert [span.stop for span in spans] == [*firsts[1:], length]
    assert [span.start for span in spans] == list(dict.fromkeys(starts))


def test_spans_of_960_px() -> None:
    assert clamped_spans(960, 512, 32) == (Span(0, 0, 480), Span(448, 480, 960))


@settings(max_examples=50)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([16, 20, 32]), st.integers(5, 70))
def test_shards_keep_what_the_later_of_two_tiles_writes(width: int, height: int, side: int, shard: int) -> None:
    """Each pixel holds the corner of the tile it is from: by DeepLIIF's writing over, and by the plan's kept boxes."""
    expected = np.zeros((max(height, side), max(width, side), 2), int)
    for tile in compat_tiles(width, height, side):
        expected[tile.keep.y : tile.keep.bottom, tile.keep.x : tile.keep.right] = tile.read.x, tile.read.y
    plan = plan_of(width, height, side, side // 16, shard)
    found, times = np.zeros((height, width, 2), int), np.zeros((height, width), int)
    for band in plan.bands:
        for place, tile in plan.band_tiles(band):
            assert plan.shard_box(*place).contains(tile.keep)
            assert tile.read.contains(tile.keep)
            assert (tile.read.width, tile.read.height) == (side, side)
            found[tile.keep.y : tile.keep.bottom, tile.keep.x : tile.keep.right] = tile.read.x, tile.read.y
            times[tile.keep.y : tile.keep.bottom, tile.keep.x : tile.keep.right] += 1
    assert (times == 1).all()
    np.testing.assert_array_equal(found, expected[:height, :width])


def test_lines_of_tiles_are_where_what_they_keep_begins() -> None:
    plan = plan_of(1100, 900, 512, 32, 3136)
    assert plan.tile_lines(0, 0, 1100) == [480, 620]
    assert plan.tile_lines(1, 0, 900) == [420]
    assert plan.tile_lines(0, 480, 620) == []
    ordinary = replace(plan, grid=replace(plan.grid, is_clamped=False, origin_x=-10))
    assert ordinary.tile_lines(0, 0, 1100) == [438, 886]
    assert ordinary.tile_lines(0, 438, 886) == []


def spec(**changes: object) -> GridSpec:
    values = {"mpp": 0.25, "mpp_min": 0.2, "mpp_max": 1, "tile_px": 448, "halo_px": 32, "fixed_tile": True}
    return GridSpec.model_validate(values | {"placement": "clamped"} | changes)


def test_a_shard_is_seven_tiles_and_computes_a_third_more_at_most() -> None:
    output = OutputSpec(name="seg", kind="image", activation="tanh", channels=3)
    grid = choose_grid(spec(), (output,))
    assert (grid.shard_px, grid.is_clamped, grid.read_px) == (3136, True, 512)
    # 28,000 px: 63 places along an axis, and one again for each of the eight further shards.
    width = 28_000
    frame = Frame(0.25, width, width, 0.25, Box(0, 0, width, width))
    plan = make_plan(frame, grid, np.ones(cell_shape(frame, grid), bool))
    assert len(clamped_spans(width, 512, 32)) == 63
    assert plan.count_tiles() == (63 + 8) ** 2


def test_manifests_of_clamped_tiles_that_cannot_be_run_are_refused() -> None:
    for changes in ({"align_px": 32}, {"fixed_tile": False}):
        with pytest.raises(ValueError, match="clamped tiles end where the frame does"):
            spec(**changes)


def with_outputs(*changes: dict[str, object], kind: str = "image", **grid: object) -> Manifest:
    toy = toy_manifest(tile_px=28, halo_px=0, kind=kind).model_dump()
    outputs = [toy["outputs"][0] | {"name": f"o{index}"} | change for index, change in enumerate(changes)]
    return Manifest.model_validate(toy | {"outputs": outputs, "grid": toy["grid"] | grid})


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        ("heat", [{"cut_off": True}], "are for images"),
        ("classes", [{"empty": (0, 0, 0)}], "are for images"),
        ("image", [{"empty": (0, 0, 0)}, {}], "of every output, or of none"),
        ("image", [{"inset_px": 4}], "inset_px must be 0"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(kind: str, changes: list[dict[str, object]], says: str) -> None:
    clamped = {"halo_px": 4, "align_px": 1, "fixed_tile": True, "placement": "clamped"}
    assert with_outputs({"empty": (0, 0, 0)}, {"empty": (1, 2, 3), "cut_off": True}, **clamped)
    with pytest.raises(ValueError, match=says):
        with_outputs(*changes, kind=kind, **clamped)


def test_areas_are_of_tissue_though_all_is_computed() -> None:
    plan = plan_of(64, 64, 32, 2, 64)
    tissue = np.zeros((4, 4), bool)
    tissue[1, 1:3] = True
    plan = make_plan(plan.frame, plan.grid, np.ones((4, 4), bool), tissue)
    assert (plan.tissue_px, plan.computed_px) == (2 * 16 * 16, 64 * 64)


def test_a_plan_comes_back_from_its_picture(tmp_path: Path) -> None:
    plan = plan_of(64, 64, 32, 2, 64)
    tissue = np.random.default_rng(1).random((4, 4)) < 0.5
    plan = make_plan(plan.frame, plan.grid, np.ones((4, 4), bool), tissue)
    write_analysed(tmp_path, plan)
    again = read_plan(tmp_path, plan.frame, plan.grid)
    np.testing.assert_array_equal(again.analysed, tissue)
    assert again.cells.all()
    assert (again.tissue_px, again.bands) == (plan.tissue_px, plan.bands)
