"""Pipeline efficiency: the network alone on tiles already in memory, against the whole stream from slide to shards."""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import alternate, seconds_of, summary
from models.registry import resolve
from models.runtimes import load_predictor
from workers.engine.calibrate import Fitted, fit_slide
from workers.engine.keep import Keeper, choose_targets
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import Stream, run_stream
from workers.geometry import Frame
from workers.outputs.maps import create_maps
from workers.plan import Plan, cell_shape, choose_grid, make_plan
from workers.slides import Slide, frame_mpp, frame_size, open_slide

MEMORY_TILES = 16
REPEATS = 9
"""Many short turns: on a shared machine the pairs see the same neighbours."""


def measure(
    slide_path: Path,
    package: str,
    limit_tiles: int = 32,
    repeats: int = REPEATS,
    beside: dict[str, Callable[[], float]] | None = None,
) -> dict[str, Any]:
    """Seconds of both, in turns in one process, and their ratio (1 = reading and writing cost nothing).

    Parameters
    ----------
    beside
        Other runs to take turns with; their figures are told as they are, turn by turn.
    """
    found = resolve(package)
    predictor = load_predictor(found)
    slide = open_slide(slide_path)
    plan = _full_plan(slide, found.manifest, limit_tiles)
    fitted = fit_slide(slide, plan, predictor)
    tiles = [tile for band in plan.bands for _, tile in plan.band_tiles(band)]
    size = predictor.batch_shape[0]
    memory = np.stack([slide.read(tile.read, plan.frame.mpp) for tile in tiles[:MEMORY_TILES]])
    batches = [memory[np.arange(i, i + size) % len(memory)] for i in range(0, len(tiles), size)]
    stages: dict[str, float] = {}
    cpu: dict[str, list[float]] = {"alone": [], "stream": []}

    def alone() -> float:
        start = time.process_time()
        taken = seconds_of(lambda: [predictor.predict(batch, fitted.statistics) for batch in batches])
        cpu["alone"].append(time.process_time() - start)
        return taken

    def stream() -> float:
        with tempfile.TemporaryDirectory() as folder:
            watch, start = Stopwatch(), time.process_time()
            taken = seconds_of(lambda: _stream(Path(folder), slide_path, plan, predictor, fitted, watch))
            cpu["stream"].append(time.process_time() - start)
            stages.update(watch.seconds())
        return taken

    alone()
    cpu["alone"].clear()
    taken = alternate({"alone": alone, "stream": stream} | (beside or {}), repeats=repeats)
    pairs = [a / s for a, s in zip(taken["alone"], taken["stream"], strict=True)]
    predictor.close()
    slide.close()
    return {
        "package": found.manifest.reference,
        "provider": predictor.provider,
        "tiles": len(tiles),
        "predictor_alone_s": summary(taken["alone"]),
        "end_to_end_s": summary(taken["stream"]),
        "efficiency": summary(pairs),
        "efficiency_of_processor_seconds": sum(cpu["alone"]) / sum(cpu["stream"]),
        "goal": 0.95,
        "stage_seconds_last_run": stages,
        "batches": len(batches),
        "processor_seconds": {name: summary(values) for name, values in cpu.items()},
    } | ({"turns": taken} if beside else {})


def _stream(folder: Path, path: Path, plan: Plan, predictor: Any, fitted: Fitted, watch: Stopwatch) -> None:
    targets = choose_targets(predictor.manifest, plan.frame, plan.grid)
    create_maps(folder, [target.spec for target in targets], plan.frame)
    slide = open_slide(path)
    keeper = Keeper(plan, targets, folder, commit=lambda record: None)
    stop = threading.Event()
    parts = Stream(slide, plan, predictor, fitted.stain.apply, fitted.statistics, 2, watch, stop)
    run_stream(parts, plan.bands, keeper)
    slide.close()


def _full_plan(slide: Slide, manifest: Any, limit_tiles: int) -> Plan:
    """A plan over the upper left part of the slide: whole shards, about `limit_tiles` tiles."""
    mpp = frame_mpp(slide.info, manifest.grid.mpp)
    width, height = frame_size(slide.info, mpp)
    grid = choose_grid(manifest.grid, manifest.outputs)
    frame = Frame(mpp, width, height, slide.info.mpp, slide.info.bounds)
    cells = np.zeros(cell_shape(frame, grid), dtype=bool)
    across = grid.shard_px // grid.tile_px
    shards = max(1, limit_tiles // across**2)
    per_shard = grid.shard_px // grid.cell_px
    cells[:per_shard, : shards * per_shard] = True
    return make_plan(frame, grid, cells)
