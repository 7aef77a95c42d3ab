"""The engine on clamped tiles is `run_compat`: any size, shard, batch and order, with empty tiles and bytes cut off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.manifest import Manifest
from tests.toy_predictor import ToyPredictor, toy_manifest
from tests.unit.engine.test_stitching import MPP, picture, stitch, stream_for, whole_map
from workers.deepliif.grid import GridOptions, run_compat
from workers.engine.keep import Keeper, choose_targets
from workers.engine.stream import run_stream
from workers.geometry import Box, Frame
from workers.outputs.maps import create_maps
from workers.plan import Plan, cell_shape, choose_grid, make_plan

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
