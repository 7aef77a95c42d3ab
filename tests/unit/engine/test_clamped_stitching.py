"""The engine on clamped tiles is `run_compat`: any size, shard, batch and order, with empty tiles and bytes cut off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InternalError
from models.manifest import Manifest
from tests.toy_predictor import ToyPredictor, toy_manifest
from tests.unit.engine.test_stitching import MPP, picture, stitch, stream_for, whole_map
from workers.deepliif.grid import GridOptions, run_compat
from workers.engine import stream
from workers.engine.checkpoint import BandRecord
from workers.engine.keep import Keeper, choose_targets
from workers.engine.lips import LIPS_PX, Lip, Lips, drop_before
from workers.engine.stream import run_stream
from workers.geometry import Box, Frame
from workers.outputs.maps import create_maps
from workers.plan import Band, Plan, cell_shape, choose_grid, make_plan

SIDE, HALO = 32, 2
FLAT = (201, 211, 208)


def clamped_manifest() -> Manifest:
    """A toy that sees 3 px, more than the halo: whatever tile a pixel is taken from shows."""
    toy = toy_manifest(tile_px=SIDE - 2 * HALO, halo_px=0)
    grid = toy.grid.model_dump() | {"halo_px": HALO, "align_px": 1, "fixed_tile": True, "placement": "clamped"}
    output = toy.outputs[0].model_dump() | {"cut_off": True, "empty": FLAT}
    return Manifest.model_validate(toy.model_dump() | {"grid": grid, "outputs": [output]})


def plan_for(width: int, height: int, shard_px: int) -> Plan:
    manifest = clamped_manifest()
    frame = Frame(MPP, width, height, MPP, Box(0, 0, width, height))
    grid = replace(choose_grid(manifest.grid, manifest.outputs), cell_px=16, shard_px=shard_px)
    return make_plan(frame, grid, np.ones(cell_shape(frame, grid), bool))


def expected(rgb: np.ndarray) -> np.ndarray:
    toy = ToyPredictor(clamped_manifest())

    def infer(tensor: np.ndarray) -> dict[str, np.ndarray]:
        return {"out": toy.answer(np.rint((tensor[0].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8))[np.newaxis]}

    return run_compat(rgb, infer, GridOptions((("out", FLAT),), SIDE, SIDE))["out"].transpose(2, 0, 1)


def with_glass(width: int, height: int, glass: float) -> np.ndarray:
    rgb = picture(width, height)
    rgb[:, int(width * glass) :] = (243, 242, 244)
    return rgb


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 100),
    shard=st.sampled_from([28, 40, 64, 200]),
    batch=st.integers(1, 4),
    glass=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_the_engine_is_run_compat(tmp_path_factory, width, height, shard, batch, glass) -> None:
    rgb, plan = with_glass(width, height, glass), plan_for(width, height, shard)
    got, records = stitch(rgb, plan, ToyPredictor(clamped_manifest(), batch=batch), tmp_path_factory.mktemp("maps"))
    np.testing.assert_array_equal(got, expected(rgb))
    assert sum(record.tiles for record in records) == plan.count_tiles()


class Watched(ToyPredictor):
    """Notes each tile that it is shown, but not what a short batch is filled up with."""

    def __init__(self, batch: int = 1) -> None:
        super().__init__(clamped_manifest(), batch=batch)
        self.seen: list[bytes] = []

    def predict(self, batch, statistics=None):
        self.seen += [tile.tobytes() for tile in batch if (tile != 255).any()]
        return super().predict(batch, statistics)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("width", "height", "shard"), [(150, 120, 56), (130, 140, 64), (100, 90, 40)])
def test_one_process_computes_each_tile_once(tmp_path: Path, width, height, shard, batch) -> None:
    rgb, plan, toy = picture(width, height), plan_for(width, height, shard), Watched(batch)
    got, records = stitch(rgb, plan, toy, tmp_path)
    tiles = [tile for band in plan.bands for _, tile in plan.band_tiles(band)]
    places = {tile.read for tile in tiles}
    assert len(plan.bands) > 3
    assert len(tiles) > len(places)
    assert len(toy.seen) == len(set(toy.seen)) == len(places)
    np.testing.assert_array_equal(got, expected(rgb))
    assert sum(record.tiles for record in records) == len(tiles)


def kept_by(plan: Plan, rgb: np.ndarray, folder: Path, bands: list[Band], limit_px: int = LIPS_PX) -> tuple:
    """(records, tiles the network was shown) of these bands as one process runs them."""
    targets, toy = choose_targets(clamped_manifest(), plan.frame, plan.grid), Watched()
    create_maps(folder, [target.spec for target in targets], plan.frame)
    records: list[BandRecord] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "Lips", lambda plan: Lips(plan, limit_px))
        run_stream(stream_for(rgb, plan, toy), bands, Keeper(plan, targets, folder, records.append))
    return records, len(toy.seen)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(20, 120), st.integers(20, 90)),
    shard=st.sampled_from([34, 40, 56, 64]),
    cells=st.lists(st.booleans(), min_size=1, max_size=30),
    limit_px=st.sampled_from([0, 200, 2000, LIPS_PX]),
    random=st.randoms(use_true_random=False),
)
def test_any_bands_in_any_order_give_what_computing_all_again_gives(
    tmp_path_factory, size, shard, cells, limit_px, random
) -> None:
    """Records hold the digests of the shards: several processes, each its bands, with room for lips or without."""
    rgb, plan = with_glass(*size, 0.7), plan_for(*size, shard)
    plan = make_plan(plan.frame, plan.grid, np.resize(cells, plan.cells.shape))
    folder = tmp_path_factory.mktemp("maps")
    again = [kept_by(plan, rgb, folder / "again", [band], limit_px=0) for band in plan.bands]
    order = random.sample(plan.bands, len(plan.bands))
    cut = random.randint(0, len(order))
    parts = [kept_by(plan, rgb, folder / "parts", part, limit_px) for part in (order[:cut], order[cut:])]
    found = sorted((record for records, _ in parts for record in records), key=lambda record: record.index)
    assert found == [record for records, _ in again for record in records]
    assert sum(seen for _, seen in parts) <= sum(seen for _, seen in again)


def test_a_value_that_is_not_held_is_no_tile_that_was_done(tmp_path: Path) -> None:
    """A repeated piece whose lip the keeper never got ends the run: it does not count."""
    rgb, plan = picture(100, 60), plan_for(100, 60, 64)
    records: list[BandRecord] = []
    targets = choose_targets(clamped_manifest(), plan.frame, plan.grid)
    create_maps(tmp_path, [target.spec for target in targets], plan.frame)
    keeper = Keeper(plan, targets, tmp_path, records.append)
    with pytest.raises(InternalError, match="Nothing is held of the tile at"):
        run_stream(
            stream_for(rgb, plan, ToyPredictor(clamped_manifest())),
            plan.bands,
            lambda pieces, maps: keeper([replace(piece, lips=()) for piece in pieces], maps),
        )
    assert [record.index for record in records] == [0]


def test_what_is_held_is_bounded_and_let_go(tmp_path: Path) -> None:
    plan = plan_for(600, 300, 56)
    shards = {shard: band for band in plan.bands for shard in band.shards}
    for limit_px in (0, 500, 5000):
        lips = Lips(plan, limit_px)
        held: dict[Lip, int] = {}
        for band in plan.bands:
            drop_before(held, band.index)
            for shard, tile in plan.band_tiles(band):
                is_repeat, further = lips.mark(band, shard, tile)
                assert (held.pop(Lip(band.index, shard, tile), None) is not None) == is_repeat
                held |= {lip: lip.tile.keep.width * lip.tile.keep.height for lip in further}
                assert all(shards[lip.shard].index == lip.band >= band.index for lip in further)
                assert sum(held.values()) <= limit_px
        assert held == {}
        assert 0 <= lips.most_px <= limit_px
        assert (lips.most_px > 0) == (limit_px > 0)


def test_bands_that_others_run_are_not_held_for(tmp_path: Path) -> None:
    plan = plan_for(300, 60, 56)
    lips = Lips(plan)
    first, third = plan.bands[0], plan.bands[2]
    marked = [lips.mark(first, *tile) for tile in plan.band_tiles(first)]
    assert {lip.band for _, further in marked for lip in further} >= {1}
    before = lips.most_px
    assert not any(is_repeat for is_repeat, _ in (lips.mark(third, *tile) for tile in plan.band_tiles(third)))
    # Band 1 is behind: its strip is gone, and the third band's takes its place.
    assert lips.most_px <= 2 * before


def test_empty_tiles_are_not_computed(tmp_path: Path) -> None:
    rgb, toy = with_glass(200, 32, 0.5), ToyPredictor(clamped_manifest(), batch=1)
    got, _ = stitch(rgb, plan_for(200, 32, 224), toy, tmp_path)
    # Tiles begin at 0, 28, ... 168; from 112 on they hold glass alone.
    assert toy.calls == 4
    assert (got[:, :, 114:] == np.array(FLAT)[:, None, None]).all()


def test_a_band_of_glass_alone_needs_no_network(tmp_path: Path) -> None:
    toy = ToyPredictor(clamped_manifest())
    plan = plan_for(100, 100, 64)
    got, records = stitch(with_glass(100, 100, 0.0), plan, toy, tmp_path)
    assert toy.calls == 0
    assert sum(record.tiles for record in records) == plan.count_tiles() > 9
    assert (got == np.array(FLAT)[:, None, None]).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_bands_in_another_order_give_the_same_files(tmp_path: Path, batch: int) -> None:
    rgb, plan, manifest = with_glass(150, 120, 0.6), plan_for(150, 120, 64), clamped_manifest()
    _, once = stitch(rgb, plan, ToyPredictor(manifest), tmp_path / "once")
    targets, records = choose_targets(manifest, plan.frame, plan.grid), []
    create_maps(tmp_path / "apart", [target.spec for target in targets], plan.frame)
    for band in reversed(plan.bands):
        keeper = Keeper(plan, targets, tmp_path / "apart", records.append)
        run_stream(stream_for(rgb, plan, ToyPredictor(manifest, batch=batch)), [band], keeper)
    assert sorted(records, key=lambda record: record.index) == once
    np.testing.assert_array_equal(whole_map(tmp_path / "apart", targets[0]), expected(rgb))
