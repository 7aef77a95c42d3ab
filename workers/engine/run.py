"""One run, from a path to a result: probe, assess, plan, stream, finish. The straight line of the engine."""

import json
import shutil
import threading
from pathlib import Path

from models.errors import OutputConflictError
from workers.engine.bands import run_bands
from workers.engine.calibrate import fit_slide
from workers.engine.checkpoint import BandRecord, append_band, claim_identity, hold_folder, read_bands
from workers.engine.conclude import conclude
from workers.engine.prepare import opened_slide, prepare
from workers.engine.progress import Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.work import RunRequest, Work, run_identity
from workers.outputs.files import file_sha256, write_whole
from workers.outputs.maps import create_maps
from workers.result import RESULT_NAME, Result
from workers.slides import Probe


def run_slide(request: RunRequest, report: Report, stop: threading.Event, probe: Probe | None = None) -> Result:
    """The result of one package on one slide, written to `request.out`; a run that was cut short goes on.

    Parameters
    ----------
    probe
        Of the slide, where it has begun already.

    Raises
    ------
    RefusedInputError
        The slide, the package or the output folder cannot be worked with; nothing was written but the run's state.
    NotScorableError
        There is no tissue, or the stain is not the package's and the run is not forced.
    StoppedError
        `stop` was set; finished bands are kept.
    """
    watch = Stopwatch()
    opened = opened_slide(request, watch, probe=probe)
    with watch.stage("total"), opened as (slide, package), hold_folder(request.out) as state:
        result = _run(prepare(request, slide, package, report, watch, stop), state)
    result = result.model_copy(update={"seconds": watch.rounded()})
    write_whole(request.out / RESULT_NAME, result.model_dump_json(indent=2).encode() + b"\n")
    return result


def _run(work: Work, state: Path) -> Result:
    resumed = _claim(work, state)
    done = read_bands(state)
    create_maps(work.maps, [target.spec for target in work.targets], work.plan.frame)
    _check_shards(work, done)
    left = [band for band in work.plan.bands if band.index not in done]
    with work.watch.stage("calibrate"):
        fitted = fit_slide(work.slide, work.plan, work.predictor)

    def commit(record: BandRecord) -> None:
        append_band(state, record)
        done[record.index] = record

    run_bands(work, fitted, left, commit, kept=sum(record.tiles for record in done.values()))
    work.predictor.close()
    return conclude(work, fitted, done, resumed=resumed)


def _claim(work: Work, state: Path) -> bool:
    """True where earlier work is taken up; another run's work is thrown away where that was asked for."""
    identity = run_identity(work)
    try:
        return claim_identity(state, identity)
    except OutputConflictError:
        if not work.request.overwrite:
            raise
    _throw_away(work, state)
    return claim_identity(state, identity)


def _throw_away(work: Work, state: Path) -> None:
    """Remove an earlier run's work: what its result names, its maps and its ledger; nothing else in the folder."""
    out = work.request.out
    if (out / RESULT_NAME).is_file():
        earlier = Result.model_validate(json.loads((out / RESULT_NAME).read_bytes()))
        # A result that came from elsewhere may name what is not its own.
        for part in earlier.files:
            if (out / part.path).resolve().is_relative_to(out.resolve()):
                (out / part.path).unlink(missing_ok=True)
        for folder in earlier.folders:
            if out.resolve() in (out / folder.path).resolve().parents:
                shutil.rmtree(out / folder.path, ignore_errors=True)
    for path in (out / RESULT_NAME, state / "identity.json", state / "bands.jsonl"):
        path.unlink(missing_ok=True)
    shutil.rmtree(work.maps, ignore_errors=True)


def _check_shards(work: Work, done: dict[int, BandRecord]) -> None:
    """Forget bands whose shards are not what was written: they are computed again."""
    for index, record in list(done.items()):
        if any(not _is_whole(work.maps / s.path, s.sha256) for s in record.shards):
            del done[index]


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256
