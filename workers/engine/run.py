"""One run, from a path to a result: probe, assess, plan, stream, finish. The straight line of the engine."""

import json
import shutil
import threading
from pathlib import Path

from models.errors import (
    InternalError,
    MppOutOfRangeError,
    NoTissueError,
    OutputConflictError,
    RefusedInputError,
    WrongStainError,
)
from models.manifest import Manifest
from models.predictor import Maps
from models.registry import Package, resolve
from models.runtimes import load_predictor
from workers.engine.calibrate import Fitted, fit_slide
from workers.engine.checkpoint import BandRecord, append_band, claim_identity, hold_folder, read_bands
from workers.engine.finish import Finishing, finish
from workers.engine.keep import Keeper, choose_targets
from workers.engine.progress import Event, Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import Piece, Stream, run_stream
from workers.engine.tell import tell
from workers.engine.work import RunRequest, Work, run_identity, slide_sha256
from workers.geometry import Frame
from workers.outputs.files import file_sha256, write_whole
from workers.outputs.maps import create_maps
from workers.plan import Band, Grid, Plan, cell_shape, choose_grid, make_plan
from workers.quality import QualityReport, assess, tissue_cells, write_pictures
from workers.result import Result
from workers.slides import Slide, SlideInfo, frame_mpp, frame_size, open_slide, probe_slide

RESULT_NAME = "result.json"
QUALITY_FOLDER = "quality"
STAIN_CONFIDENCE = 0.8
"""A stain guess at least this sure, and other than the package's, stops a run that is not forced."""


def run_slide(request: RunRequest, report: Report, stop: threading.Event) -> Result:
    """The result of one package on one slide, written to `request.out`; a run that was cut short goes on.

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
    with watch.stage("total"):
        with watch.stage("open"):
            package = resolve(request.package)
            _check_mpp(probe_slide(request.slide, request.mpp), package.manifest)
            slide = open_slide(request.slide, request.mpp)
        try:
            with hold_folder(request.out) as state:
                result = _run(_prepare(request, state, slide, package, report, watch, stop))
        finally:
            slide.close()
    result = result.model_copy(update={"seconds": {k: round(v, 3) for k, v in watch.seconds().items()}})
    write_whole(request.out / RESULT_NAME, result.model_dump_json(indent=2).encode() + b"\n")
    return result


def _check_mpp(info: SlideInfo, manifest: Manifest) -> None:
    grid = manifest.grid
    mpp = frame_mpp(info, grid.mpp)
    if info.mpp > grid.mpp_max or not grid.mpp_min <= mpp <= grid.mpp_max:
        raise MppOutOfRangeError(
            f"The slide has {info.mpp:.4g} um/px; {manifest.reference} takes {grid.mpp_min:g} to {grid.mpp_max:g}.",
            "Use a package made for this resolution, or give the true one with --mpp.",
        )


def _prepare(
    request: RunRequest,
    state: Path,
    slide: Slide,
    package: Package,
    report: Report,
    watch: Stopwatch,
    stop: threading.Event,
) -> Work:
    manifest = package.manifest
    with watch.stage("digest slide"):
        digest = slide_sha256(request.slide)
    with watch.stage("quality"):
        report(Event("quality", 0, 1))
        quality = assess(slide)
        report(Event("quality", 1, 1))
    _check_stain(quality, manifest, request.force)
    plan = _plan(slide, manifest, request.tile_px, quality)
    with watch.stage("load network"):
        predictor = load_predictor(package, request.provider, request.tile_px, request.batch, request.threads)
    targets = choose_targets(manifest, plan.frame, plan.grid)
    return Work(request, state, slide, digest, package, predictor, plan, targets, quality, report, watch, stop)


def _check_stain(quality: QualityReport, manifest: Manifest, force: bool) -> None:
    guess = quality.stain
    if manifest.stain in ("any", guess.stain) or guess.confidence < STAIN_CONFIDENCE or force:
        return
    raise WrongStainError(
        f"The slide looks like {guess.stain} (confidence {guess.confidence:.2f}); {manifest.reference} is for "
        f"{manifest.stain}.",
        "Use a package for this stain, or --force; the result will say that it was forced.",
    )


def _plan(slide: Slide, manifest: Manifest, tile_px: int | None, quality: QualityReport) -> Plan:
    info = slide.info
    mpp = frame_mpp(info, manifest.grid.mpp)
    width, height = frame_size(info, mpp)
    frame = Frame(mpp=mpp, width_px=width, height_px=height, level0_mpp=info.mpp, bounds=info.bounds)
    grid = _grid(manifest, tile_px)
    plan = make_plan(frame, grid, tissue_cells(quality.tissue, frame, grid.cell_px, cell_shape(frame, grid)))
    if not plan.bands:
        raise NoTissueError(
            f"Of {quality.tissue_fraction:.2%} of the slide nothing looks like tissue.",
            "Look at the slide; a blank or pen-covered one has nothing to analyse.",
        )
    return plan


def _grid(manifest: Manifest, tile_px: int | None) -> Grid:
    try:
        return choose_grid(manifest.grid, manifest.outputs, tile_px)
    except ValueError as error:
        raise RefusedInputError(f"{manifest.reference}: {error}.", "Leave --tile away, or give another.") from error


def _run(work: Work) -> Result:
    resumed = _claim(work)
    done = read_bands(work.state)
    create_maps(work.maps, [target.spec for target in work.targets], work.plan.frame)
    _check_shards(work, done)
    left = [band for band in work.plan.bands if band.index not in done]
    total = work.plan.count_tiles()
    with work.watch.stage("calibrate"):
        fitted = fit_slide(work.slide, work.plan, work.predictor)
    _run_bands(work, fitted, left, done)
    work.predictor.close()
    tiles = sum(record.tiles for record in done.values())
    if tiles != total or set(done) != {band.index for band in work.plan.bands}:
        raise InternalError(f"{tiles} of {total} tiles were done: the result would have a hole.")
    with work.watch.stage("pictures"):
        pictures = write_pictures(work.request.out / QUALITY_FOLDER, work.slide, work.quality)
    finished = finish(_finishing(work, pictures))
    return tell(work, fitted, finished, [done[i] for i in sorted(done)], resumed=resumed)


def _run_bands(work: Work, fitted: Fitted, bands: list[Band], done: dict[int, BandRecord]) -> None:
    """Run what is left, adding each band to `done` when it is on the disk."""
    total, kept = work.plan.count_tiles(), sum(record.tiles for record in done.values())

    def commit(record: BandRecord) -> None:
        append_band(work.state, record)
        done[record.index] = record

    keeper = Keeper(work.plan, work.targets, work.maps, commit)

    def keep(pieces: list[Piece], maps: Maps) -> None:
        nonlocal kept
        keeper(pieces, maps)
        kept += len(pieces)
        work.report(Event("tiles", kept, total))

    stream = Stream(
        work.slide,
        work.plan,
        work.predictor,
        fitted.stain.apply,
        fitted.statistics,
        work.request.readers,
        work.watch,
        work.stop,
    )
    with work.watch.stage("stream"):
        run_stream(stream, bands, keep)


def _claim(work: Work) -> bool:
    """True where earlier work is taken up; another run's work is thrown away where that was asked for."""
    identity = run_identity(work)
    try:
        return claim_identity(work.state, identity)
    except OutputConflictError:
        if not work.request.overwrite:
            raise
    _throw_away(work)
    return claim_identity(work.state, identity)


def _throw_away(work: Work) -> None:
    """Remove an earlier run's work: what its result names, its maps and its ledger; nothing else in the folder."""
    out = work.request.out
    if (out / RESULT_NAME).is_file():
        earlier = Result.model_validate(json.loads((out / RESULT_NAME).read_bytes()))
        for part in earlier.files:
            (out / part.path).unlink(missing_ok=True)
    for path in (out / RESULT_NAME, work.state / "identity.json", work.state / "bands.jsonl"):
        path.unlink(missing_ok=True)
    shutil.rmtree(work.maps, ignore_errors=True)


def _check_shards(work: Work, done: dict[int, BandRecord]) -> None:
    """Forget bands whose shards are not what was written: they are computed again."""
    for index, record in list(done.items()):
        if any(not _is_whole(work.maps / s.path, s.sha256) for s in record.shards):
            del done[index]


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _finishing(work: Work, pictures: tuple[Path, ...]) -> Finishing:
    return Finishing(
        slide=work.slide,
        plan=work.plan,
        manifest=work.package.manifest,
        targets=work.targets,
        out=work.request.out,
        maps=work.maps,
        pictures=pictures,
        report=work.report,
        watch=work.watch,
        check=work.check,
    )
