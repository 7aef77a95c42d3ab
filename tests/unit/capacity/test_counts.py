"""Work counted by hand: tiles, batches, bands, shards above shards, and workers that take turns."""

import numpy as np
import pytest

from models.manifest import Manifest
from tests.toy_predictor import toy_manifest
from workers.capacity.counts import count_upper_shards, count_work, makespan
from workers.capacity.sample import sample_plan
from workers.engine.keep import choose_targets
from workers.geometry import Box, Frame
from workers.plan import Plan, cell_shape, choose_grid, make_plan

SIDE_PX = 3 * 2048


def plan_of(places: list[tuple[int, int]]) -> Plan:
    """A slide of 3 x 3 shards with tissue on whole shards."""
    manifest = toy_manifest(tile_px=512)
    frame = Frame(0.5, SIDE_PX, SIDE_PX, 0.5, Box(0, 0, SIDE_PX, SIDE_PX))
    grid = choose_grid(manifest.grid, manifest.outputs)
    cells = np.zeros(cell_shape(frame, grid), dtype=bool)
    for column, row in places:
        cells[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = True
    return make_plan(frame, grid, cells)


def test_work_of_two_full_shards():
    plan = plan_of([(0, 0), (2, 2)])
    targets = choose_targets(toy_manifest(tile_px=512), plan.frame, plan.grid)
    counts = count_work(plan, targets, batch=3)
    assert counts.tiles == 32
    assert counts.band_batches == (6, 6)  # 16 tiles by three, and no batch spans two bands
    assert counts.batches == 12
    assert (counts.apart_batches, counts.lips_bytes) == ((6, 6), 0)
    assert counts.computed_px == 2 * 2048**2
    assert counts.frame_px == SIDE_PX**2
    # 6144 px go down to 384 in four halvings. Level 1 has two shards, all above it one; three channels.
    assert counts.upper_shards == 3 * (2 + 1 + 1 + 1)


def test_what_shards_share_is_computed_once_by_one_process():
    toy = toy_manifest(tile_px=448, halo_px=0)
    grid_spec = toy.grid.model_dump() | {"halo_px": 32, "align_px": 1, "fixed_tile": True, "placement": "clamped"}
    manifest = Manifest.model_validate(toy.model_dump() | {"grid": grid_spec})
    grid = choose_grid(manifest.grid, manifest.outputs)
    frame = Frame(0.25, SIDE_PX, SIDE_PX, 0.25, Box(0, 0, SIDE_PX, SIDE_PX))
    plan = make_plan(frame, grid, np.ones(cell_shape(frame, grid), dtype=bool))
    counts = count_work(plan, choose_targets(manifest, frame, grid), batch=1)
    # 6144 px: tiles begin at 0, 448, ... 5376, 5632: 14 of them. 7 lie in the first shard, 8 in the second.
    assert counts.tiles == 15**2
    assert (counts.band_batches, counts.apart_batches) == ((49, 49, 49, 49), (49, 56, 56, 64))
    # When the first shard is done: a strip of 32 px along two of its sides and at the corner, of three channels.
    assert counts.lips_bytes == 3 * 32 * (2 * 3136 + 32)


def test_shards_that_share_one_above_count_once():
    plan = plan_of([(0, 0)])
    spec = choose_targets(toy_manifest(tile_px=512), plan.frame, plan.grid)[0].spec
    assert count_upper_shards(spec, [(0, 0), (1, 0), (0, 1), (1, 1)]) == 4
    assert count_upper_shards(spec, [(0, 0), (2, 0)]) == 2 + 1 + 1 + 1
    assert count_upper_shards(spec, []) == 0


@pytest.mark.parametrize(
    ("lengths", "workers", "wanted"),
    [
        ([3, 1, 1, 1], 1, 6),
        ([3, 1, 1, 1], 2, 3),
        ([1, 1, 1, 3], 2, 4),  # the long one comes last, when both have one behind them
        ([2, 2, 2], 8, 2),
        ([], 2, 0),
    ],
)
def test_workers_take_the_next_band_when_they_are_free(lengths, workers, wanted):
    assert makespan(lengths, workers) == wanted


def test_a_sample_is_whole_shards_and_a_last_one_in_part():
    plan = plan_of([(x, y) for x in range(3) for y in range(3)])
    sample = sample_plan(plan, tiles=20, seed=1)
    counts = [sum(1 for _ in sample.shard_tiles(*shard)) for band in sample.bands for shard in band.shards]
    assert sorted(counts) == [4, 16]
    assert not (sample.cells & ~plan.cells).any()
    assert sample.tissue is plan.tissue
    assert (sample_plan(plan, tiles=20, seed=2).cells != sample.cells).any()


def test_a_sample_of_more_than_there_is_is_all():
    plan = plan_of([(1, 1)])
    assert sample_plan(plan, tiles=17) is plan
    assert sample_plan(plan, tiles=16).count_tiles() == 16
