"""Stitched equals whole, for real networks on real runtimes: any tile, any grid origin, to float32.

"Whole" is the slide in one tile, with the halo of white around it that the engine reads outside of a slide. Raw outputs
are compared to a tolerance, because a runtime may sum in another order for another shape; stored maps must then agree
but for pixels whose two best classes lie within that tolerance.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.manifest import GridSpec
from models.predictor import Maps, Predictor
from models.registry import Package, resolve
from models.runtimes import load_predictor
from tests.array_slide import ArraySlide
from tests.packages_made import RECIPES, make_package
from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec
from workers.engine.calibrate import fit_statistics
from workers.engine.checkpoint import BandRecord
from workers.engine.finish import seam_scores
from workers.engine.keep import Keeper, choose_targets
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import Piece, Stream, run_stream
from workers.geometry import Box, Frame, round_up
from workers.outputs.maps import create_maps, read_box
from workers.plan import Plan, cell_shape, choose_grid, make_plan

MPP = 0.5
WIDTH, HEIGHT = 1430, 1170
TOLERANCE = 2e-5
"""Of the largest output: float32 summed over at most a few hundred terms a layer."""
NETWORKS = ("fcn8", "fcn32", "dilated", "unet", "valid", "frozen")
GRIDS = ((256, 0, 0), (512, 0, 0), (1024, 0, 0), (512, 3, -5))
"""Tile, and the grid's origin in steps of the network's stride grid."""


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    """A region of a phantom: glands, stroma, nuclei, glass."""
    spec = PhantomSpec(seed=3, width_px=4096, height_px=4096, mpp=MPP, tissue=0.7)
    return ArraySlide(render_region(spec, "he", Box(1200, 1100, WIDTH, HEIGHT)), MPP)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    folder = tmp_path_factory.mktemp("packages")
    made = {name: make_package(folder, replace(RECIPES[name], tile_px=256, batch=1)) for name in NETWORKS}
    return made | {"nuclei": resolve("nuclei")}


class Collector:
    """Keeps as the engine does, and the raw outputs of the kept boxes beside it."""

    def __init__(self, keeper: Keeper, plan: Plan, package: Package) -> None:
        output = package.manifest.outputs[0]
        self.keeper, self.output = keeper, output
        shape = (
            output.channels,
            -(-plan.frame.height_px // output.stride_px),
            -(-plan.frame.width_px // output.stride_px),
        )
        self.raw = np.full((shape[0], shape[1] + 64, shape[2] + 64), np.nan, dtype=np.float32)
        self.shape = shape

    def __call__(self, pieces: list[Piece], maps: Maps) -> None:
        stride, inset = self.output.stride_px, self.output.inset_px
        for row, piece in enumerate(pieces):
            keep, origin = piece.tile.keep.divide(stride), piece.tile.read.grow(-inset)
            x, y = keep.x - origin.x // stride, keep.y - origin.y // stride
            part = maps[self.output.name][row][:, y : y + keep.height, x : x + keep.width]
            self.raw[:, keep.y : keep.bottom, keep.x : keep.right] = part
        self.keeper(pieces, maps)

    @property
    def whole(self) -> np.ndarray:
        return self.raw[:, : self.shape[1], : self.shape[2]]


def plan_of(package: Package, grid: tuple[int, int, int]) -> Plan:
    manifest, (tile, dx, dy) = package.manifest, grid
    frame = Frame(MPP, WIDTH, HEIGHT, MPP, Box(0, 0, WIDTH, HEIGHT))
    align = manifest.grid.align_px
    chosen = replace(choose_grid(manifest.grid, manifest.outputs, tile), origin_x=dx * align, origin_y=dy * align)
    return make_plan(frame, chosen, np.ones(cell_shape(frame, chosen), dtype=bool))


def run(
    package: Package, slide: ArraySlide, grid: tuple[int, int, int], folder: Path, statistics=None, provider="auto"
):
    """(raw outputs, stored map, records) of the engine's stream."""
    plan = plan_of(package, grid)
    predictor = load_predictor(package, provider, tile_px=grid[0])
    targets = choose_targets(package.manifest, plan.frame, plan.grid)
    create_maps(folder, [target.spec for target in targets], plan.frame)
    records: list[BandRecord] = []
    collector = Collector(Keeper(plan, targets, folder, records.append), plan, package)
    stream = Stream(slide, plan, predictor, lambda rgb: rgb, statistics, 2, Stopwatch(), threading.Event())
    run_stream(stream, plan.bands, collector)
    spec = targets[0].spec
    stored = read_box(folder, spec, Box(0, 0, spec.width_px, spec.height_px))
    return collector.whole, stored, (targets, records)


def whole_image(package: Package, slide: ArraySlide, statistics=None) -> np.ndarray:
    """The raw outputs of the slide in one tile."""
    grid: GridSpec = package.manifest.grid
    output = package.manifest.outputs[0]
    side = round_up(max(WIDTH, HEIGHT), grid.align_px)
    predictor = load_predictor(package, tile_px=side, batch=1)
    box = Box(-grid.halo_px, -grid.halo_px, side + 2 * grid.halo_px, side + 2 * grid.halo_px)
    raw = predictor.predict(slide.read(box, MPP)[np.newaxis], statistics)[output.name][0]
    skip = (grid.halo_px - output.inset_px) // output.stride_px
    height, width = -(-HEIGHT // output.stride_px), -(-WIDTH // output.stride_px)
    return raw[:, skip : skip + height, skip : skip + width]


def statistics_of(package: Package, slide: ArraySlide) -> np.ndarray | None:
    spec = package.manifest.statistics
    if spec is None:
        return None
    predictor = load_predictor(package)
    return fit_statistics(slide, plan_of(package, (256, 0, 0)), predictor, spec, lambda rgb: rgb)


@pytest.fixture(scope="module", params=[*NETWORKS, "nuclei"])
def case(request, packages, slide) -> Iterator[tuple[Package, np.ndarray, np.ndarray | None]]:
    """A package, its whole-image answer, and the statistics both use."""
    package = packages[request.param]
    statistics = statistics_of(package, slide)
    yield package, whole_image(package, slide, statistics), statistics


@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: f"tile{g[0]}at{g[1]},{g[2]}")
def test_stitched_equals_whole(case, slide, grid, tmp_path: Path) -> None:
    package, whole, statistics = case
    raw, stored, _ = run(package, slide, grid, tmp_path, statistics)
    scale = float(np.abs(whole).max())
    assert float(np.abs(raw - whole).max()) <= TOLERANCE * scale
    output = package.manifest.outputs[0]
    if output.kind == "classes":
        two = np.partition(whole, -2, axis=0)[-2:]
        sure = (two[1] - two[0]) > 2 * TOLERANCE * scale
        assert sure.mean() > 0.999
        np.testing.assert_array_equal(stored[sure], whole.argmax(axis=0)[sure])
    else:
        expected = np.rint(np.clip((whole + 1) / 2, 0, 1) * 255)
        assert np.abs(stored.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["unet", "nuclei"])
def test_another_runtime_gives_the_same_to_float32(packages, slide, name: str, tmp_path: Path) -> None:
    package = packages[name]
    raw = {
        p: run(package, slide, (512, 0, 0), tmp_path / p, provider=p)[0] for p in ("onnxruntime-cpu", "openvino-cpu")
    }
    scale = float(np.abs(raw["openvino-cpu"]).max())
    assert float(np.abs(raw["onnxruntime-cpu"] - raw["openvino-cpu"]).max()) <= 10 * TOLERANCE * scale


def test_a_halo_below_the_receptive_radius_is_found_out(packages, slide, tmp_path: Path) -> None:
    package = packages["dilated"]
    small = package.manifest.model_copy(update={"grid": package.manifest.grid.model_copy(update={"halo_px": 2})})
    raw, _, _ = run(replace(package, manifest=small), slide, (256, 0, 0), tmp_path)
    assert float(np.abs(raw - whole_image(package, slide)).max()) > 100 * TOLERANCE


def test_frozen_statistics_leave_no_seam(packages, slide, tmp_path: Path) -> None:
    package = packages["frozen"]
    _, _, (targets, records) = run(package, slide, (256, 0, 0), tmp_path, statistics_of(package, slide))
    score = seam_scores(targets, records)["out"]
    assert score is not None
    assert abs(score - 1) <= 0.02


class PerTile:
    """The same network with the statistics of each tile, as instance norm has them."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.manifest, self.provider, self.batch_shape = predictor.manifest, predictor.provider, predictor.batch_shape

    def predict(self, batch: np.ndarray, statistics: np.ndarray | None = None) -> Maps:
        return self._predictor.predict(batch, self._predictor.calibrate(batch))

    def calibrate(self, tiles: np.ndarray) -> np.ndarray:
        return self._predictor.calibrate(tiles)

    def close(self) -> None:
        self._predictor.close()


def test_statistics_of_each_tile_show_as_seams(packages, slide, tmp_path: Path) -> None:
    package = packages["frozen"]
    plan = plan_of(package, (256, 0, 0))
    targets = choose_targets(package.manifest, plan.frame, plan.grid)
    create_maps(tmp_path, [target.spec for target in targets], plan.frame)
    records: list[BandRecord] = []
    keeper = Keeper(plan, targets, tmp_path, records.append)
    predictor = PerTile(load_predictor(package))
    run_stream(
        Stream(slide, plan, predictor, lambda rgb: rgb, None, 2, Stopwatch(), threading.Event()), plan.bands, keeper
    )
    score = seam_scores(targets, records)["out"]
    assert score is not None
    assert score > 1.1
