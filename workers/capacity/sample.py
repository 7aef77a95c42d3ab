"""A small part of a slide run for real, to a result in a folder that is thrown away."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.parameters import FORCE
from workers.capacity.counts import count_work
from workers.capacity.rates import STREAM, Sample
from workers.engine.bands import run_bands
from workers.engine.calibrate import Fitted
from workers.engine.checkpoint import BandRecord
from workers.engine.conclude import conclude
from workers.engine.stopwatch import Stopwatch
from workers.engine.work import Work
from workers.outputs.files import files_below
from workers.outputs.maps import create_maps
from workers.plan import Plan, make_plan

BESIDE = frozenset({"read", "prepare", "wait for reader", "infer", "keep", "wait for keeper"})
"""Stages that run side by side inside of `stream`."""
FINISH = "finish"
REST = "tell"
"""What lies between the named stages of the finish."""


def sample_plan(plan: Plan, tiles: int, seed: int = 0) -> Plan:
    """A plan of about so many tiles: of shards in random order, each whole but the last; all of it where it has fewer.

    Whole shards, as a run works on them; at random places, so that dense and sparse tissue come as often as they are.
    """
    cells = np.zeros_like(plan.cells)
    left = tiles
    for shard in _shards(plan, seed):
        for tile in plan.shard_tiles(*shard):
            if left <= 0:
                return make_plan(plan.frame, plan.grid, cells & plan.cells, plan.tissue)
            cells[_cells_of(plan, tile.keep.y, tile.keep.bottom), _cells_of(plan, tile.keep.x, tile.keep.right)] = True
            left -= 1
    return plan


def run_sample(work: Work, plan: Plan, fitted: Fitted) -> Sample:
    """The plan's tiles through the pipeline and the finish of a run; its result is removed."""
    out = Path(tempfile.mkdtemp(prefix="histoserve-plan-"))
    # A sample with too few cells for a score says nothing of the slide, and its score is not wanted.
    forced = work.parameters | {FORCE: True}
    request = replace(work.request, out=out)
    try:
        return _run(replace(work, plan=plan, request=request, parameters=forced, watch=Stopwatch()), fitted)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def predict_seconds(work: Work, fitted: Fitted) -> float:
    """Seconds of one batch, the second of two, if nothing else ran: its processor seconds over all cores."""
    batch: NDArray[np.uint8] = np.full(work.predictor.batch_shape, 200, dtype=np.uint8)
    wall_s = cpu_s = 0.0
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        work.predictor.predict(batch, fitted.statistics)
        wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    # On a busy machine wall seconds would make the sample too small to say anything; a GPU takes no processor seconds.
    threads = work.request.threads or os.cpu_count() or 1
    return cpu_s / threads if work.predictor.provider.endswith("-cpu") else wall_s


def _run(work: Work, fitted: Fitted) -> Sample:
    done: dict[int, BandRecord] = {}
    create_maps(work.maps, [target.spec for target in work.targets], work.plan.frame)
    run_bands(work, fitted, work.plan.bands, lambda record: done.__setitem__(record.index, record))
    with work.watch.stage(FINISH):
        conclude(work, fitted, done, resumed=False)
    files = files_below(work.request.out)
    picture_bytes = sum(path.stat().st_size for path in files if path.suffix == ".png")
    return Sample(
        counts=count_work(work.plan, work.targets, work.predictor.batch_shape[0]),
        wall_s=_one_after_another(work.watch.seconds()),
        cpu_s=_one_after_another(work.watch.processor_seconds()),
        result_bytes=sum(path.stat().st_size for path in files) - picture_bytes,
        picture_bytes=picture_bytes,
    )


def _one_after_another(seconds: dict[str, float]) -> dict[str, float]:
    """The stages that follow one another, and what of the finish lies between them."""
    named = {name: value for name, value in seconds.items() if name not in {*BESIDE, FINISH}}
    rest = seconds[FINISH] - sum(value for name, value in named.items() if name != STREAM)
    return named | {REST: max(0.0, rest)}


def _shards(plan: Plan, seed: int) -> Iterator[tuple[int, int]]:
    shards = [shard for band in plan.bands for shard in band.shards]
    for index in np.random.default_rng(seed).permutation(len(shards)):
        yield shards[index]


def _cells_of(plan: Plan, start_px: int, stop_px: int) -> slice:
    side = plan.grid.cell_px
    return slice(start_px // side, -(-stop_px // side))
