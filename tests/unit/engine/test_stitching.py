"""Stitched equals whole: for any tile, grid origin, sufficient halo, stride, number of readers, and after a crash."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import SlideUnreadableError
from tests.array_slide import ArraySlide
from tests.toy_predictor import ToyPredictor, toy_manifest
from workers.engine.checkpoint import BandRecord
from workers.engine.keep import Keeper, Target, choose_targets
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import StoppedError, Stream, run_stream
from workers.geometry import Box, Frame
from workers.outputs.maps import create_maps, read_box
from workers.plan import Plan, aligned_box, cell_shape, choose_grid, make_plan

MPP = 0.5


def picture(width: int, height: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plan_for(manifest, width: int, height: int, cells=None, **changes) -> Plan:
    frame = Frame(MPP, width, height, MPP, Box(0, 0, width, height))
    grid = replace(choose_grid(manifest.grid, manifest.outputs), cell_px=16, shard_px=64, **changes)
    shape = cell_shape(frame, grid)
    return make_plan(frame, grid, np.ones(shape, dtype=bool) if cells is None else np.resize(cells, shape))


def stream_for(rgb: np.ndarray, plan: Plan, predictor: ToyPredictor, **changes: object) -> Stream:
    slide = ArraySlide(rgb, MPP)
    values = {"prepare": lambda rgb: rgb, "statistics": None, "readers": 2}
    return Stream(slide, plan, predictor, **(values | changes), stopwatch=Stopwatch(), stop=threading.Event())


def stitch(rgb: np.ndarray, plan: Plan, predictor: ToyPredictor, folder: Path) -> tuple[np.ndarray, list[BandRecord]]:
    targets = choose_targets(predictor.manifest, plan.frame, plan.grid)
    create_maps(folder, [target.spec for target in targets], plan.frame)
    records: list[BandRecord] = []
    run_stream(stream_for(rgb, plan, predictor), plan.bands, Keeper(plan, targets, folder, records.append))
    return whole_map(folder, targets[0]), records


def whole_map(folder: Path, target: Target) -> np.ndarray:
    return read_box(folder, target.spec, Box(0, 0, target.spec.width_px, target.spec.height_px))


def expected(rgb: np.ndarray, plan: Plan, predictor: ToyPredictor) -> np.ndarray:
    """The slow reference: the whole slide, white around it, through the network at once."""
    target = choose_targets(predictor.manifest, plan.frame, plan.grid)[0]
    box, halo = aligned_box(plan.frame, plan.grid.align_px), plan.grid.halo_px
    canvas = np.full((box.height + 2 * halo, box.width + 2 * halo, 3), 255, dtype=np.uint8)
    canvas[halo : halo + rgb.shape[0], halo : halo + rgb.shape[1]] = rgb
    raw = predictor.answer(canvas)
    stride = target.spec.stride_px
    skip = (halo - target.output.inset_px) // stride
    raw = raw[:, skip : skip + target.spec.height_px, skip : skip + target.spec.width_px]
    stored = target.store(raw, target.output)
    tissue = plan.tissue_pixels(box, stride)[: target.spec.height_px, : target.spec.width_px]
    return np.where(tissue, stored, target.spec.fill).astype(np.uint8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    tile=st.sampled_from([16, 32, 48]),
    shift=st.integers(-2, 2),
    stride=st.sampled_from([1, 2, 4]),
    kind=st.sampled_from(["image", "heat", "classes"]),
    inset=st.sampled_from([0, 4]),
    bits=st.lists(st.booleans(), min_size=1, max_size=12),
)
def test_stitched_equals_whole(tmp_path_factory, width, height, tile, shift, stride, kind, inset, bits) -> None:
    manifest = toy_manifest(tile_px=tile, stride_px=stride, kind=kind, inset_px=inset)
    predictor = ToyPredictor(manifest)
    plan = plan_for(manifest, width, height, np.array(bits), origin_x=4 * shift, origin_y=-4 * shift)
    rgb = picture(width, height)
    got, records = stitch(rgb, plan, predictor, tmp_path_factory.mktemp("maps"))
    np.testing.assert_array_equal(got, expected(rgb, plan, predictor))
    assert sum(record.tiles for record in records) == plan.count_tiles()


def test_a_halo_that_is_too_small_shows(tmp_path: Path) -> None:
    manifest = toy_manifest(tile_px=16, halo_px=0)
    predictor = ToyPredictor(manifest)
    plan, rgb = plan_for(manifest, 100, 100), picture(100, 100)
    got, _ = stitch(rgb, plan, predictor, tmp_path)
    whole = ToyPredictor(toy_manifest(tile_px=16, halo_px=8))
    assert (got != expected(rgb, plan_for(whole.manifest, 100, 100), whole)).any()


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_the_batch_does_not_show(tmp_path: Path, batch: int) -> None:
    manifest = toy_manifest()
    plan, rgb = plan_for(manifest, 150, 90), picture(150, 90)
    records = [stitch(rgb, plan, ToyPredictor(manifest, batch=size), tmp_path / str(size))[1] for size in (2, batch)]
    assert records[0] == records[1]


def test_bands_done_in_any_order_and_apart_give_the_same_files(tmp_path: Path) -> None:
    manifest = toy_manifest()
    plan, rgb = plan_for(manifest, 300, 200), picture(300, 200)
    at_once, records = stitch(rgb, plan, ToyPredictor(manifest), tmp_path / "once")
    assert len(plan.bands) > 3
    again: list[BandRecord] = []
    targets = choose_targets(manifest, plan.frame, plan.grid)
    create_maps(tmp_path / "apart", [target.spec for target in targets], plan.frame)
    for band in reversed(plan.bands):
        keeper = Keeper(plan, targets, tmp_path / "apart", again.append)
        run_stream(stream_for(rgb, plan, ToyPredictor(manifest)), [band], keeper)
    assert sorted(again, key=lambda r: r.index) == records
    np.testing.assert_array_equal(whole_map(tmp_path / "apart", targets[0]), at_once)


class BrokenSlide(ArraySlide):
    """A slide with one tile that cannot be read."""

    def read(self, box: Box, mpp: float) -> np.ndarray:
        if box.x > 40 and box.y > 40:
            raise SlideUnreadableError("Tile 7 is corrupt.")
        return super().read(box, mpp)


def test_a_tile_that_cannot_be_read_stops_the_run_and_is_the_error(tmp_path: Path) -> None:
    manifest = toy_manifest()
    rgb, plan = picture(300, 200), plan_for(manifest, 300, 200)
    records: list[BandRecord] = []
    targets = choose_targets(manifest, plan.frame, plan.grid)
    stream = replace(stream_for(rgb, plan, ToyPredictor(manifest)), slide=BrokenSlide(rgb, MPP))
    with pytest.raises(SlideUnreadableError, match="Tile 7"):
        run_stream(stream, plan.bands, Keeper(plan, targets, tmp_path, records.append))
    assert len(records) < len(plan.bands)


def test_a_keeper_that_fails_stops_the_run_and_is_the_error(tmp_path: Path) -> None:
    manifest = toy_manifest()
    rgb, plan = picture(300, 200), plan_for(manifest, 300, 200)

    def full_disk(_record: BandRecord) -> None:
        raise OSError(28, "No space left on device")

    predictor = ToyPredictor(manifest)
    keeper = Keeper(plan, choose_targets(manifest, plan.frame, plan.grid), tmp_path, full_disk)
    with pytest.raises(OSError, match="No space"):
        run_stream(stream_for(rgb, plan, predictor), plan.bands, keeper)
    assert predictor.calls < plan.count_tiles()


def test_a_run_asked_to_stop_stops(tmp_path: Path) -> None:
    manifest = toy_manifest()
    rgb, plan = picture(300, 200), plan_for(manifest, 300, 200)
    stream = stream_for(rgb, plan, ToyPredictor(manifest))
    records: list[BandRecord] = []

    def commit(record: BandRecord) -> None:
        records.append(record)
        stream.stop.set()

    keeper = Keeper(plan, choose_targets(manifest, plan.frame, plan.grid), tmp_path, commit)
    with pytest.raises(StoppedError):
        run_stream(stream, plan.bands, keeper)
    assert 0 < len(records) < len(plan.bands)
