"""From a slide and a package to a forecast: prepare as a run does, count the work, take or measure the rates."""

import hashlib
import os
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from workers.capacity.counts import Counts, count_work
from workers.capacity.forecast import BasisPart, Before, Forecast, WorkPart, cpu_seconds, stage_seconds, with_workers
from workers.capacity.process import age_s, peak_bytes, processor_s
from workers.capacity.profile import Entry, read_profile, write_profile
from workers.capacity.rates import Rates, fit_rates
from workers.capacity.sample import predict_seconds, run_sample, sample_plan
from workers.engine.calibrate import Fitted, fit_slide
from workers.engine.prepare import opened_slide, prepare
from workers.engine.progress import Event, Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.work import RunRequest, Work, slide_files

MOST_TILES = 256
"""Of a calibration, however fast the network is."""
LEAST_BATCHES = 8
SMALL_PART = 4
"""The smaller of the two samples is this many times smaller."""
DIGEST_BYTES = 64 << 20
"""Of the slide's file are digested to know how fast that goes."""
UNKNOWN_DIGEST = "0" * 64


@dataclass(frozen=True)
class Wanted:
    """What the caller wants to know, and from what it may be known."""

    workers: int = 1
    seconds: float = 5.0
    """About so long the network runs in a calibration."""
    profile: Path | None = None
    measure: bool = False
    """Calibrate although the profile knows the package, and write what is found to it."""


def plan_slide(request: RunRequest, wanted: Wanted, report: Report, stop: threading.Event) -> Forecast:
    """The forecast of a run; nothing is left on the disk but, where it was asked for, the profile.

    Raises
    ------
    RefusedInputError, NotScorableError
        As the run itself would.
    """
    started_s, watch = age_s(), Stopwatch()
    request = replace(request, slide_sha256=UNKNOWN_DIGEST)
    with opened_slide(request, watch) as (slide, package):
        work = prepare(request, slide, package, report, watch, stop)
        with watch.stage("calibrate"):
            fitted = fit_slide(slide, work.plan, work.predictor)
        cpu_s, digest_s = processor_s(), _digest_seconds(slide_files(request.slide))
        before = Before(
            wall_s={"process": started_s} | watch.seconds() | {"digest slide": digest_s}, cpu_s=cpu_s + digest_s
        )
        counts = count_work(work.plan, work.targets, work.predictor.batch_shape[0])
        start, base = time.perf_counter(), peak_bytes()
        entry, is_new = _rates(work, fitted, counts, wanted)
        work.predictor.close()
        seconds = time.perf_counter() - start
    basis = BasisPart(
        source="calibration" if is_new else "profile",
        sampled_tiles=entry.rates.sampled_tiles,
        seconds=seconds if is_new else 0.0,
        measured=entry.measured,
        load_average=entry.load_average,
    )
    memory_bytes = base + entry.rates.memory_bytes + counts.lips_bytes
    return _forecast(work, before, (counts, entry.rates), memory_bytes, basis, wanted.workers)


def _forecast(
    work: Work, before: Before, known: tuple[Counts, Rates], memory_bytes: int, basis: BasisPart, workers: int
) -> Forecast:
    counts, rates = known
    plan, mm2 = work.plan, (work.plan.frame.mpp / 1000) ** 2
    stages_s, stages_cpu_s = stage_seconds(before, rates, counts), cpu_seconds(before, rates, counts)
    return Forecast(
        package=work.package.manifest.reference,
        provider=work.predictor.provider,
        tile_px=plan.grid.tile_px,
        batch=work.predictor.batch_shape[0],
        work=WorkPart(
            tissue_mm2=plan.tissue_px * mm2,
            computed_mm2=counts.computed_px * mm2,
            tiles=counts.tiles,
            batches=counts.batches,
            bands=len(plan.bands),
            frame_width_px=plan.frame.width_px,
            frame_height_px=plan.frame.height_px,
            slide_bytes=sum(path.stat().st_size for path in slide_files(work.request.slide)),
        ),
        stages_s=stages_s,
        total_s=sum(stages_s.values()),
        stages_cpu_s=stages_cpu_s,
        cpu_s=sum(stages_cpu_s.values()),
        memory_bytes=memory_bytes,
        result_bytes=round(rates.result_bytes.at(counts)),
        workers=with_workers(stages_s, rates, counts, workers),
        basis=basis,
    )


def _rates(work: Work, fitted: Fitted, counts: Counts, wanted: Wanted) -> tuple[Entry, bool]:
    """The entry of the profile, and whether it was measured just now."""
    key = _key(work)
    if wanted.profile is not None and not wanted.measure:
        known = read_profile(wanted.profile).find(key, counts.frame_px)
        if known is not None:
            return known, False
    entry = Entry(
        key=key,
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=os.getloadavg()[0],
        rates=_calibrate(work, fitted, counts, wanted.seconds),
    )
    if wanted.profile is not None and wanted.measure:
        # Read again: calibration takes its time, and another package may have been measured beside it.
        write_profile(wanted.profile, read_profile(wanted.profile).with_entry(entry))
    return entry, True


def _calibrate(work: Work, fitted: Fitted, counts: Counts, seconds: float) -> Rates:
    base = peak_bytes()
    quiet = replace(work, report=lambda event: None)
    size = work.predictor.batch_shape[0]
    batches = max(LEAST_BATCHES, min(MOST_TILES // size, round(seconds / predict_seconds(work, fitted))))
    work.report(Event("calibration", 0, 2))
    large = run_sample(quiet, sample_plan(work.plan, batches * size, seed=0), fitted)
    # Memory is that of one pass, as a run has it: a second one in the same process adds what the first left behind.
    taken = peak_bytes() - base
    work.check()
    work.report(Event("calibration", 1, 2))
    few = max(1, batches // SMALL_PART) * size
    small = run_sample(quiet, sample_plan(work.plan, few, seed=1), fitted)
    work.report(Event("calibration", 2, 2))
    return fit_rates(small, large, taken)


def _key(work: Work) -> dict[str, str]:
    request = work.request
    return {
        "package": work.package.manifest.reference,
        "manifest_sha256": work.package.manifest_sha256,
        "provider": work.predictor.provider,
        "batch_shape": str(work.predictor.batch_shape),
        "threads": str(request.threads),
        "readers": str(request.readers),
        "parameters": str(sorted(work.parameters.items())),
        "cores": str(os.cpu_count()),
    } | ({} if request.outputs is None else {"outputs": str(sorted({t.output.name for t in work.targets}))})


def _digest_seconds(files: list[Path]) -> float:
    """Seconds that the digest of the slide will take, from its first bytes."""
    size, taken, start = sum(path.stat().st_size for path in files), 0, time.perf_counter()
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while taken < DIGEST_BYTES and (piece := file.read(1 << 20)):
                digest.update(piece)
                taken += len(piece)
    return (time.perf_counter() - start) * size / taken if taken else 0.0
