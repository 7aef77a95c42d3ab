"""What must not change a result, on real images and shipped packages: each test changes one thing and nothing else.

Tiles, the grid's origin, workers, a crash and a region may not show: the same bytes in maps and files. The networks are
not equivariant, so a mirrored slide is shown to a toy network of one pixel, on the same real image: that is a test of
our geometry.
"""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr
from PIL import Image

from models.errors import PackageUnknownError
from models.registry import Package, resolve
from tests import making
from tests.integration.ledger.made import ORDER
from workers import plan as planning
from workers.contract.regions import read_regions
from workers.contract.settings import Settings
from workers.contract.store import open_store
from workers.engine import prepare as preparing
from workers.engine import run as running
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.geometry import round_up
from workers.ledger import migrate, open_ledger
from workers.ledger.jobs import NewJob, create_job, job_of_any_tenant, list_attempts
from workers.ledger.slides import NewSlide, create_slide
from workers.plan import choose_grid
from workers.result import Result
from workers.slides import open_slide
from workers.wake import job as waking
from workers.wake.answer import answer

pytestmark = pytest.mark.timeout(3600)
PACKAGES = ("nuclei", "ki67-he", "mitosis", "deepliif-small", "virtual-ki67")
WIDTH_PX, HEIGHT_PX = 900, 640
CUT_PX = (128, 128)
"""The cut's upper left corner. Its right and lower sides are the slide's own, so that only two sides lie in tissue."""
BAND_PX = 512
"""Small shards, a band each: several bands on a small image."""
LOWER = {"mitosis": {"detection_threshold": 0.7}}
"""More detections on a small image."""


@dataclass(frozen=True)
class Case:
    """A package and the real image it is run on."""

    package: Package
    slide: Path

    @property
    def parameters(self) -> dict[str, Any]:
        return {"force": True} | LOWER.get(self.package.manifest.name, {})

    @property
    def needs_whole_slide(self) -> bool:
        """True where numbers are fitted on all of a slide's tissue: a cut is another slide to such a package."""
        return self.package.manifest.statistics is not None or bool(self.package.manifest.input.stain)


@dataclass(frozen=True)
class Outcome:
    """All that a run leaves that is not a second."""

    result: Result
    out: Path

    @property
    def files(self) -> dict[str, str]:
        return {part.path: part.sha256 for part in self.result.files}

    @property
    def scores(self) -> dict[str, Any]:
        return json.loads(json.dumps(self.result.scores))

    def maps(self) -> dict[str, np.ndarray]:
        return {
            path.name: np.asarray(zarr.open_group(path, mode="r")["0"]) for path in (self.out / "maps").glob("*.zarr")
        }

    def findings(self) -> np.ndarray:
        """(n, 2): x and y of cells and points in level-0 px, sorted."""
        paths = [p for p in (self.out / f"{name}.parquet" for name in ("cells", "points")) if p.exists()]
        tables = [pq.read_table(path, columns=["x_px", "y_px"]) for path in paths]
        found = [np.stack([column.to_numpy() for column in table.columns], axis=1) for table in tables]
        places = np.concatenate([np.zeros((0, 2)), *found])
        return places[np.lexsort(places.T)]


def assert_same(one: Outcome, other: Outcome) -> None:
    """The same maps, the same scores, the same files to the byte."""
    maps = other.maps()
    assert one.maps().keys() == maps.keys()
    for name, values in one.maps().items():
        np.testing.assert_array_equal(maps[name], values, name)
    assert other.scores == one.scores
    assert other.files == one.files


@pytest.fixture(scope="module", autouse=True)
def known_slides() -> Iterator[None]:
    """The images here are known: no child process opens each first."""

    def info(path: Path, mpp: float | None):
        slide = open_slide(path, mpp)
        slide.close()
        return slide.info

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "probe_slide", info)
        yield


@pytest.fixture(scope="module")
def images(data_dir: Path, tmp_path_factory) -> dict[str, Path]:
    """Crops of real images as slides: breast H&E at 0.25 um, skin H&E at 0.5 um, Ki-67 IHC."""
    folder = tmp_path_factory.mktemp("images")
    breast = np.asarray(Image.open(data_dir / "mitosis_brecahad/images/Case_12-02.jpg").convert("RGB"))
    skin = tifffile.imread(data_dir / "slides/CMU-1-Small-Region.svs", key=0)[800:]
    ihc = tifffile.imread(data_dir / "ki67_ihc_openslide/OS-2-ndpi.ome.tif", key=0)[600:, 600:]
    sources = {"he-0.25": (breast, 0.25), "he-0.5": (skin, 0.5), "ihc": (ihc, 0.2271)}
    return {
        name: making.write_pyramid(
            folder / f"{name}.tiff",
            np.ascontiguousarray(pixels[:HEIGHT_PX, :WIDTH_PX]),
            mpp,
            factors=(1,),
            options=making.lossless_options(),
        )
        for name, (pixels, mpp) in sources.items()
    }


@pytest.fixture(scope="module", params=PACKAGES)
def case(request, images: dict[str, Path]) -> Case:
    try:
        package = resolve(request.param)
    except PackageUnknownError:
        pytest.skip(f"the package {request.param} is not in the zoo")
    grid = package.manifest.grid
    if package.manifest.stain not in ("he", "any"):
        return Case(package, images["ihc"])
    return Case(package, images["he-0.25" if grid.mpp_min <= 0.25 <= grid.mpp_max else "he-0.5"])


@pytest.fixture(scope="module")
def undisturbed(case: Case, tmp_path_factory) -> Outcome:
    """The whole image, at once, with the package's own tile."""
    found = run(case, tmp_path_factory.mktemp("undisturbed") / "out")
    if case.package.manifest.measures and not case.needs_whole_slide:
        assert any(number for scores in found.scores.values() for number in scores.values()), "nothing to compare"
    return found


def run(case: Case, out: Path, **asked) -> Outcome:
    asked = {"parameters": case.parameters, "threads": 1, "readers": 1} | asked
    slide = asked.pop("slide", case.slide)
    request = RunRequest(slide, case.package.manifest.reference, out, **asked)
    return Outcome(run_slide(request, say_nothing, threading.Event()), out)


@contextmanager
def small_bands() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "SHARD_PX", BAND_PX)
        patch.setattr(planning, "BAND_SHARDS", 0)
        yield


@pytest.mark.parametrize("tile_px", [256, 512, 1024])
def test_tiles_do_not_show(case: Case, undisturbed: Outcome, tile_px: int, tmp_path: Path) -> None:
    grid = case.package.manifest.grid
    if tile_px == grid.tile_px:
        pytest.skip(f"{tile_px} px is the package's own tile")
    if grid.fixed_tile:
        pytest.skip(f"the network runs with tiles of {grid.tile_px} px only")
    assert_same(undisturbed, run(case, tmp_path / "out", tile_px=tile_px))


def test_the_grid_s_origin_does_not_show(case: Case, undisturbed: Outcome, tmp_path: Path, monkeypatch) -> None:
    def shifted(*asked):
        grid = choose_grid(*asked)
        return replace(grid, origin_x=3 * grid.align_px, origin_y=-5 * grid.align_px)

    monkeypatch.setattr(preparing, "choose_grid", shifted)
    assert_same(undisturbed, run(case, tmp_path / "out"))


def killed_after(bands: int, case: Case, out: Path) -> None:
    """A run that the system ends without a word, in a process of its own."""
    append, done = running.append_band, []

    def last(state, record) -> None:
        append(state, record)
        done.append(record)
        if len(done) == bands:
            os.kill(os.getpid(), signal.SIGKILL)

    running.append_band = last
    run(case, out)


def needs_bands(found: Outcome) -> None:
    """Skip where the image is too small for this package's tiles to be shared or to be cut short."""
    if found.result.plan.bands < 3:
        pytest.skip(f"{found.result.plan.bands} bands on this image")


def test_a_crash_does_not_show(case: Case, undisturbed: Outcome, tmp_path: Path) -> None:
    needs_bands(undisturbed)
    with small_bands():
        child = multiprocessing.get_context("fork").Process(target=killed_after, args=(2, case, tmp_path / "out"))
        child.start()
        child.join(1500)
        assert child.exitcode == -signal.SIGKILL
        found = run(case, tmp_path / "out")
    assert found.result.resumed
    assert found.result.plan.bands >= 3
    assert_same(undisturbed, found)


def work_beside(barrier, subject: str) -> None:
    """A worker that claims its first band, and its second, when the other does."""
    claim, calls = waking.claim_next, []

    def together(stay):
        calls.append(stay)
        if len(calls) <= 2:
            barrier.wait(300)
        return claim(stay)

    waking.claim_next = together
    answer(subject)


def test_two_workers_do_not_show(case: Case, undisturbed: Outcome, tmp_path: Path, monkeypatch) -> None:
    needs_bands(undisturbed)
    for name, value in {"HOME": tmp_path, "REDIS_URL": "redis://127.0.0.1:1/0", "THREADS": 1, "LEASE_S": 300}.items():
        monkeypatch.setenv(f"HISTOSERVE_{name}", str(value))
    settings, reference = Settings(), case.package.manifest.reference
    migrate(settings.database)
    open_store(settings).put(case.slide, "slides/upl_1")
    ledger = open_ledger(settings.database)
    with ledger.write() as connection:
        slide = create_slide(connection, "lab", NewSlide(origin="upload", uri="store:slides/upl_1")).id
        order = ORDER | {"package": reference, "parameters": case.parameters}
        job_id = create_job(connection, "lab", NewJob(slide, reference, order), 100).id
    ledger.close()
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(2)
    with small_bands():
        workers = [fork.Process(target=work_beside, args=(barrier, f"job:{job_id}")) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(1500)
    assert [worker.exitcode for worker in workers] == [0, 0]
    ledger = open_ledger(settings.database)
    with ledger.read() as connection:
        job, attempts = job_of_any_tenant(connection, job_id), list_attempts(connection, job_id)
    ledger.close()
    assert job.state == "succeeded", job.problem
    assert len(attempts) == 2
    found = Result.model_validate(job.result)
    assert found.plan.bands >= 3
    assert {part.path: part.sha256 for part in found.files} == undisturbed.files
    assert json.loads(json.dumps(found.scores)) == undisturbed.scores


def square(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    return {
        "type": "Polygon",
        "coordinates": [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]],
    }


def inner(outcome: Outcome, name: str, from_px: tuple[int, int], stride_px: int) -> np.ndarray:
    """A map from a place in frame px on, to the slide's end."""
    x, y = (side // stride_px for side in from_px)
    return outcome.maps()[name][..., y:, x:]


def test_a_region_s_score_is_that_of_the_slide_cut_to_it(case: Case, undisturbed: Outcome, tmp_path: Path) -> None:
    """In the region the maps are those of the whole slide; the cut's are, from a halo inside of the cut on."""
    scale = undisturbed.result.frame.level0_per_px
    left, top = CUT_PX
    pixels = tifffile.imread(case.slide, key=0)
    height, width = pixels.shape[:2]
    region = run(case, tmp_path / "region", regions=read_regions(square(left * scale, top * scale, width, height)))
    strides = {target: stride_of(undisturbed, target) for target in undisturbed.maps()}
    for name, stride in strides.items():
        np.testing.assert_array_equal(
            inner(region, name, CUT_PX, stride), inner(undisturbed, name, CUT_PX, stride), name
        )
    if case.needs_whole_slide:
        pytest.skip("the package fits numbers on all of a slide's tissue: a cut is another slide to it")
    assert scale == 1.0, "a cut at a whole pixel"
    cut = making.write_pyramid(
        tmp_path / "cut.tiff",
        pixels[top:, left:],
        undisturbed.result.slide.mpp,
        factors=(1,),
        options=making.lossless_options(),
    )
    alone = run(case, tmp_path / "cut", slide=cut)
    halo = round_up(case.package.manifest.grid.halo_px, case.package.manifest.grid.align_px)
    for name, stride in strides.items():
        from_cut = inner(alone, name, (halo, halo), stride)
        assert from_cut.shape[-1] > 200 // stride
        np.testing.assert_array_equal(inner(region, name, (left + halo, top + halo), stride), from_cut, name)
    away = halo + 64
    here, there = region.findings() - CUT_PX, alone.findings()
    here, there = (places[(places >= away).all(axis=1)] for places in (here, there))
    np.testing.assert_allclose(here, there, atol=1e-9)


def stride_of(outcome: Outcome, name: str) -> int:
    group = zarr.open_group(outcome.out / "maps" / name, mode="r")
    return round(group.attrs["histoserve"]["level0_affine"][0][0] / outcome.result.frame.level0_per_px)


def test_a_mirrored_slide_has_mirrored_cells(images: dict[str, Path], made_package, tmp_path: Path) -> None:
    """A network of one pixel: whatever is not mirrored to the last digit is ours."""
    source = made_package("thresholds").folder
    package = tmp_path / "thresholds"
    package.mkdir()
    for path in source.iterdir():
        (package / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((package / "model.json").read_text())
    manifest["measures"] = [
        {"kind": "cells", "output": "out", "interior": "class-0", "min_area_um2": 2},
        {"kind": "areas", "output": "out"},
    ]
    (package / "model.json").write_text(json.dumps(manifest))
    # Whole cells of tissue on both sides, so that the mirrored grid is the grid mirrored.
    pixels = tifffile.imread(images["he-0.5"], key=0)[:, :768]
    found = []
    for name, side in (("plain", pixels), ("mirrored", pixels[:, ::-1])):
        slide = making.write_pyramid(
            tmp_path / f"{name}.tiff", np.ascontiguousarray(side), 0.5, factors=(1,), options=making.lossless_options()
        )
        request = RunRequest(slide, str(package), tmp_path / name, tile_px=256, threads=1, parameters={"force": True})
        found.append(Outcome(run_slide(request, say_nothing, threading.Event()), tmp_path / name))
    plain, mirrored = found
    for name, values in plain.maps().items():
        np.testing.assert_array_equal(mirrored.maps()[name], values[..., ::-1], name)
    assert plain.scores == mirrored.scores
    assert plain.scores["cells"]["count"] > 30
    back = mirrored.findings() * (-1, 1) + (768, 0)
    np.testing.assert_allclose(
        back[np.lexsort(np.round(back, 6).T)], plain.findings()[np.lexsort(np.round(plain.findings(), 6).T)], atol=1e-6
    )
