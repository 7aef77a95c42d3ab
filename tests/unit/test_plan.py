"""The plan partitions the tissue: no gap, no double, whatever the slide's size, mask, tile or grid origin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.manifest import ClassSpec, GridSpec, OutputSpec
from workers.geometry import Box, Frame
from workers.plan import Grid, Plan, aligned_box, cell_shape, choose_grid, make_plan


def frame_of(width: int, height: int) -> Frame:
    return Frame(mpp=0.5, width_px=width, height_px=height, level0_mpp=0.25, bounds=Box(0, 0, 2 * width, 2 * height))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    align = draw(st.sampled_from([1, 2, 3, 4]))
    grid = Grid(
        tile_px=align * draw(st.integers(1, 6)),
        halo_px=align * draw(st.integers(0, 3)),
        align_px=align,
        cell_px=align * draw(st.integers(1, 5)),
        shard_px=align * draw(st.integers(2, 9)),
        origin_x=align * draw(st.integers(-3, 3)),
        origin_y=align * draw(st.integers(-3, 3)),
    )
    frame = frame_of(draw(st.integers(1, 50)), draw(st.integers(1, 50)))
    rows, columns = cell_shape(frame, grid)
    # From a seed: drawing thousands of cells one by one is most of the work.
    part, seed = draw(st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0])), draw(st.integers(0, 2**32 - 1))
    return make_plan(frame, grid, np.random.default_rng(seed).random((rows, columns)) < part)


def written(plan: Plan) -> np.ndarray:
    """How often each pixel of the aligned frame is kept by a tile of a band."""
    box = aligned_box(plan.frame, plan.grid.align_px)
    counts = np.zeros((box.height, box.width), dtype=int)
    for band in plan.bands:
        for _, tile in plan.band_tiles(band):
            keep = tile.keep
            counts[keep.y : keep.bottom, keep.x : keep.right] += plan.tissue_pixels(keep)
    return counts


def tissue(plan: Plan) -> np.ndarray:
    """The slow reference: every cell painted on its own."""
    box = aligned_box(plan.frame, plan.grid.align_px)
    mask = np.zeros((box.height, box.width), dtype=int)
    side = plan.grid.cell_px
    for row, column in np.argwhere(plan.cells):
        mask[row * side : (row + 1) * side, column * side : (column + 1) * side] = 1
    return mask


@given(plans())
def test_every_tissue_pixel_is_kept_exactly_once_and_nothing_else(plan: Plan) -> None:
    np.testing.assert_array_equal(written(plan), tissue(plan))


@given(plans())
def test_keep_boxes_are_disjoint(plan: Plan) -> None:
    box = aligned_box(plan.frame, plan.grid.align_px)
    counts = np.zeros((box.height, box.width), dtype=int)
    for band in plan.bands:
        for _, tile in plan.band_tiles(band):
            counts[tile.keep.y : tile.keep.bottom, tile.keep.x : tile.keep.right] += 1
    assert counts.max(initial=0) <= 1


@given(plans())
def test_each_tile_reads_its_keep_box_with_the_halo_on_the_stride_grid(plan: Plan) -> None:
    grid = plan.grid
    for band in plan.bands:
        for _, tile in plan.band_tiles(band):
            assert (tile.read.width, tile.read.height) == (grid.read_px, grid.read_px)
            assert tile.read.contains(tile.keep.grow(grid.halo_px))
            assert tile.read.x % grid.align_px == tile.read.y % grid.align_px == 0
            assert tile.keep.divide(grid.align_px).width > 0


@given(plans())
def test_bands_own_whole_shards_and_tiles_stay_inside_them(plan: Plan) -> None:
    owned = [shard for band in plan.bands for shard in band.shards]
    assert len(owned) == len(set(owned))
    assert [band.index for band in plan.bands] == list(range(len(plan.bands)))
    for band in plan.bands:
        for shard, tile in plan.band_tiles(band):
            assert shard in band.shards
            assert plan.shard_box(*shard).contains(tile.keep)


@given(plans())
def test_the_tissue_counted_is_the_tissue_planned(plan: Plan) -> None:
    assert plan.tissue_px == int(tissue(plan).sum())


@settings(max_examples=50)
@given(plans(), st.integers(1, 6), st.integers(-3, 3))
def test_what_is_kept_does_not_depend_on_tile_or_origin(plan: Plan, tiles: int, shift: int) -> None:
    align = plan.grid.align_px
    other = Grid(tiles * align, plan.grid.halo_px, align, plan.grid.cell_px, plan.grid.shard_px, shift * align, align)
    again = make_plan(plan.frame, other, plan.cells)
    np.testing.assert_array_equal(written(plan), written(again))
    assert [band.shards for band in plan.bands] == [band.shards for band in again.bands]


def test_no_tissue_makes_an_empty_plan() -> None:
    grid = Grid(tile_px=4, halo_px=0, align_px=1, cell_px=4, shard_px=8)
    plan = make_plan(frame_of(10, 10), grid, np.zeros((3, 3), dtype=bool))
    assert plan.bands == ()
    assert plan.count_tiles() == 0


def test_cells_of_another_shape_are_refused() -> None:
    grid = Grid(tile_px=4, halo_px=0, align_px=1, cell_px=4, shard_px=8)
    with pytest.raises(ValueError, match=r"shape \(1, 1\)"):
        make_plan(frame_of(10, 10), grid, np.ones((1, 1), dtype=bool))


def test_sparse_shards_share_a_band_and_full_ones_fill_it() -> None:
    grid = Grid(tile_px=4, halo_px=0, align_px=1, cell_px=4, shard_px=8)
    cells = np.zeros((8, 8), dtype=bool)
    cells[0, 0] = cells[7, 7] = True
    assert len(make_plan(frame_of(32, 32), grid, cells).bands) == 1
    assert len(make_plan(frame_of(32, 32), grid, np.ones((8, 8), dtype=bool)).bands) == 16


def spec(**changes: object) -> GridSpec:
    values = {"mpp": 0.5, "mpp_min": 0.4, "mpp_max": 0.6, "tile_px": 512, "halo_px": 32, "align_px": 8}
    return GridSpec.model_validate(values | changes)


def output(stride: int) -> OutputSpec:
    one = ClassSpec(name="a", colour=(0, 0, 0))
    return OutputSpec(name="o", kind="classes", activation="softmax", channels=1, stride_px=stride, classes=(one,))


def test_a_fine_map_has_shards_of_2048_and_a_coarse_one_keeps_64_map_pixels() -> None:
    assert choose_grid(spec(), (output(1),)).shard_px == 2048
    coarse = choose_grid(spec(tile_px=224, halo_px=0, align_px=224), (output(224),))
    assert (coarse.shard_px, coarse.cell_px) == (64 * 224, 224)


def test_a_tile_off_the_stride_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="stride grid of 8"):
        choose_grid(spec(), (output(1),), tile_px=100)
    with pytest.raises(ValueError, match="512 px only"):
        choose_grid(spec(fixed_tile=True), (output(1),), tile_px=256)
