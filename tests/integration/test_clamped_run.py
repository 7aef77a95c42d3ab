"""Clamped tiles over several shards: the same maps at once and resumed, and what shards share is seen once."""

import threading

import numpy as np
import pytest

from models.runtimes.network import Network
from tests import making
from tests.packages_made import blur_package, rewritten
from workers.capacity.planning import Wanted, plan_slide
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.stream import StoppedError
from workers.engine.work import RunRequest

TILE, HALO = 448, 32
FIRST_BAND = 7 * 8
"""Tiles of the one full shard."""
WIDTH, HEIGHT = 3700, 3300


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A blur, which sees 1 px, on DeepLIIF's grid."""
    folder = tmp_path_factory.mktemp("clamped")

    def clamped(manifest):
        sides = {"tile_px": TILE, "halo_px": HALO, "align_px": 1, "batch": 1}
        manifest["grid"] |= sides | {"placement": "clamped", "fixed_tile": True}

    return rewritten(blur_package(folder / "grid"), folder / "clamped", clamped)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    rgb = np.tile(making.tissue(850, 1100, seed=3), (4, 5, 1))[:HEIGHT, :WIDTH]
    return making.write_pyramid(tmp_path_factory.mktemp("slides") / "slide.tiff", rgb, mpp=0.5)


@pytest.fixture
def seen(monkeypatch):
    """The tiles that the network is shown."""
    tiles, predict = [], Network.predict

    def watched(self, batch, statistics=None):
        tiles.extend(hash(tile.tobytes()) for tile in batch)
        return predict(self, batch, statistics)

    monkeypatch.setattr(Network, "predict", watched)
    return tiles


def test_a_run_of_four_shards_at_once_and_resumed(slide, package, tmp_path, seen):
    def asked(name):
        return RunRequest(slide, str(package.folder), tmp_path / name, threads=1, parameters={"force": True})

    once = run_slide(asked("once"), say_nothing, threading.Event())
    # Tiles begin at 0, 448, ... 2688, 3136, 3188, and at ... 2688, 2788: of 9 x 8 a column and a row are in two shards.
    # One tile more is the golden one.
    assert len(seen) == 9 * 8 + 1
    assert (once.plan.bands, once.plan.tiles_planned, once.plan.tiles_done) == (2, 90, 90)

    stop = threading.Event()
    with pytest.raises(StoppedError):
        run_slide(asked("twice"), lambda event: stop.set() if event.done == FIRST_BAND else None, stop)
    seen.clear()
    twice = run_slide(asked("twice"), say_nothing, threading.Event())
    assert (twice.resumed, twice.plan.tiles_done) == (True, 90)
    # The first band is there, the strips of its tiles are not: they are seen again.
    assert len(seen) == 3 * 8 + 6 + 1
    assert [(f.path, f.sha256) for f in twice.folders] == [(f.path, f.sha256) for f in once.folders]


def test_a_plan_foresees_what_is_seen_once(slide, package, tmp_path, seen):
    asked = RunRequest(slide, str(package.folder), tmp_path / "out", threads=1, parameters={"force": True})
    forecast = plan_slide(asked, Wanted(workers=2, seconds=0.1), say_nothing, threading.Event())
    assert (forecast.work.tiles, forecast.work.batches) == (90, 72)
