"""One run, from a path to a result: probe, assess, plan, stream, finish. The straight line of the engine."""

import hashlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.errors import InternalError, MppOutOfRangeError, NoTissueError, OutputConflictError, WrongStainError
from models.manifest import Manifest
from models.predictor import Maps, Predictor, Statistics
from models.registry import Package, resolve
from models.runtimes import load_predictor
from models.stain import fit_stain
from workers.engine.calibrate import fit_statistics, sample_tissue
from workers.engine.checkpoint import BandRecord, append_band, claim_identity, hold_folder, read_bands
from workers.engine.finish import Finished, Finishing, describe_file, file_sha256, finish, seam_scores, tissue_mm2
from workers.engine.keep import Keeper, Target, choose_targets
from workers.engine.progress import Event, Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import Piece, StoppedError, Stream, run_stream
from workers.geometry import Frame
from workers.outputs.files import write_whole
from workers.outputs.maps import create_maps
from workers.plan import Band, Plan, cell_shape, choose_grid, make_plan
from workers.quality import QualityReport, assess, tissue_cells, write_pictures
from workers.result import BoxPart, FilePart, FramePart, PackagePart, PlanPart, Result, SlidePart, WarningPart
from workers.slides import Slide, SlideInfo, frame_mpp, frame_size, open_slide, probe_slide
from workers.slides.slide import RGB

MAPS_FOLDER = "maps"
QUALITY_FOLDER = "quality"
STAIN_CONFIDENCE = 0.8
"""A stain guess at least this sure, and other than the package's, stops a run that is not forced."""


@dataclass(frozen=True)
class RunRequest:
    """What the caller asked for; None where the default is wanted."""

    slide: Path
    package: str
    out: Path
    mpp: float | None = None
    provider: str = "auto"
    tile_px: int | None = None
    batch: int | None = None
    readers: int = 2
    threads: int | None = None
    force: bool = False
    overwrite: bool = False


@dataclass(frozen=True, eq=False)
class Work:
    """Everything a run has decided before its first tile."""

    request: RunRequest
    state: Path
    slide: Slide
    slide_sha256: str
    package: Package
    predictor: Predictor
    plan: Plan
    targets: tuple[Target, ...]
    quality: QualityReport
    report: Report
    watch: Stopwatch
    stop: threading.Event

    @property
    def maps(self) -> Path:
        """Where the maps are."""
        return self.request.out / MAPS_FOLDER

    def check(self) -> None:
        """Raise where the run was asked to stop."""
        if self.stop.is_set():
            raise StoppedError("The run was stopped.", "Start it again with the same arguments to go on.")


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
    with watch.stage("total"), hold_folder(request.out) as state:
        with watch.stage("open"):
            package = resolve(request.package)
            info = probe_slide(request.slide, request.mpp)
            _check_mpp(info, package.manifest)
            slide = open_slide(request.slide, request.mpp)
        try:
            work = _prepare(request, state, slide, package, report, watch, stop)
            result = _run(work)
        finally:
            slide.close()
    result = result.model_copy(update={"seconds": {k: round(v, 3) for k, v in watch.seconds().items()}})
    write_whole(request.out / "result.json", result.model_dump_json(indent=2).encode() + b"\n")
    return result


def _check_mpp(info: SlideInfo, manifest: Manifest) -> None:
    grid = manifest.grid
    mpp = frame_mpp(info, grid.mpp)
    if info.mpp > grid.mpp_max or not grid.mpp_min <= mpp <= grid.mpp_max:
        raise MppOutOfRangeError(
            f"The slide has {info.mpp:.4g} um/px; {manifest.reference} takes {grid.mpp_min:g} to {grid.mpp_max:g} um/px.",
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
    return Work(
        request, state, slide, digest, package, predictor, plan, targets, quality, report, watch, stop
    )


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
    grid = choose_grid(manifest.grid, manifest.outputs, tile_px)
    plan = make_plan(frame, grid, tissue_cells(quality.tissue, frame, grid.cell_px, cell_shape(frame, grid)))
    if not plan.bands:
        raise NoTissueError(
            f"Of {quality.tissue_fraction:.2%} of the slide nothing looks like tissue.",
            "Look at the slide; a blank or pen-covered one has nothing to analyse.",
        )
    return plan


def _run(work: Work) -> Result:
    resumed = _claim(work)
    done = read_bands(work.state)
    create_maps(work.maps, [target.spec for target in work.targets], work.plan.frame)
    _check_shards(work, done)
    left = [band for band in work.plan.bands if band.index not in done]
    total = work.plan.count_tiles()
    if left:
        _run_bands(work, left, done, total)
    work.predictor.close()
    tiles = sum(record.tiles for record in done.values())
    if tiles != total or set(done) != {band.index for band in work.plan.bands}:
        raise InternalError(f"{tiles} of {total} tiles were done: the result would have a hole.")
    with work.watch.stage("pictures"):
        pictures = write_pictures(work.request.out / QUALITY_FOLDER, work.slide, work.quality)
    finished = finish(_finishing(work, pictures))
    return _result(work, finished, [done[i] for i in sorted(done)], total, resumed)


def _run_bands(work: Work, bands: list[Band], done: dict[int, BandRecord], total: int) -> None:
    """Run what is left, adding each band to `done` when it is on the disk."""
    kept = sum(record.tiles for record in done.values())

    def commit(record: BandRecord) -> None:
        append_band(work.state, record)
        done[record.index] = record

    keeper = Keeper(work.plan, work.targets, work.maps, commit)

    def keep(pieces: list[Piece], maps: Maps) -> None:
        nonlocal kept
        keeper(pieces, maps)
        kept += len(pieces)
        work.report(Event("tiles", kept, total))

    stream = _stream(work)
    with work.watch.stage("stream"):
        run_stream(stream, bands, keep)


def _stream(work: Work) -> Stream:
    """The pipeline with what is fitted once per slide."""
    manifest = work.package.manifest
    prepare: Callable[[RGB], RGB] = _as_it_is
    statistics: Statistics | None = None
    with work.watch.stage("calibrate"):
        if manifest.input.stain:
            prepare = fit_stain(manifest.input.stain, sample_tissue(work.slide, work.plan)).apply
        if manifest.statistics is not None:
            statistics = fit_statistics(work.slide, work.plan, work.predictor, manifest.statistics, prepare)
    return Stream(
        work.slide, work.plan, work.predictor, prepare, statistics, work.request.readers, work.watch, work.stop
    )


def _as_it_is(tile: RGB) -> RGB:
    return tile


def _claim(work: Work) -> bool:
    """True where earlier work is taken up; another run's work is thrown away where that was asked for."""
    identity = run_identity(work)
    try:
        return claim_identity(work.state, identity)
    except OutputConflictError:
        if not work.request.overwrite:
            raise
    for name in ("identity.json", "bands.jsonl"):
        (work.state / name).unlink(missing_ok=True)
    (work.request.out / "result.json").unlink(missing_ok=True)
    shutil.rmtree(work.maps, ignore_errors=True)
    return claim_identity(work.state, identity)


def run_identity(work: Work) -> dict[str, Any]:
    """Everything that can change a byte of the result."""
    return {
        "code_version": version("histoserve"),
        "slide_sha256": work.slide_sha256,
        "slide_mpp": work.slide.info.mpp,
        "package": work.package.manifest.reference,
        "manifest_sha256": work.package.manifest_sha256,
        "provider": work.predictor.provider,
        "frame_mpp": work.plan.frame.mpp,
        "tile_px": work.plan.grid.tile_px,
        "batch": work.predictor.batch_shape[0],
    }


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


def _result(work: Work, finished: Finished, records: list[BandRecord], tiles: int, resumed: bool) -> Result:
    plan, manifest = work.plan, work.package.manifest
    network = manifest.file("network")
    return Result(
        code_version=version("histoserve"),
        slide=_slide_part(work),
        package=PackagePart(
            reference=manifest.reference,
            manifest_sha256=work.package.manifest_sha256,
            network_sha256=network.sha256 if network else "",
            provider=work.predictor.provider,
        ),
        frame=FramePart(
            mpp=plan.frame.mpp,
            width_px=plan.frame.width_px,
            height_px=plan.frame.height_px,
            level0_per_px=plan.frame.scale,
        ),
        plan=PlanPart(
            tile_px=plan.grid.tile_px,
            halo_px=plan.grid.halo_px,
            shard_px=plan.grid.shard_px,
            bands=len(plan.bands),
            tiles_planned=tiles,
            tiles_done=sum(record.tiles for record in records),
            tiles_failed=0,
            tissue_mm2=tissue_mm2(plan),
        ),
        quality=work.quality.as_dict(),
        scores=finished.scores,
        seam_scores=seam_scores(work.targets, records),
        files=finished.files,
        folders=finished.folders,
        configuration=_configuration(work),
        seconds={},
        resumed=resumed,
        warnings=_warnings(work),
    )


def _slide_part(work: Work) -> SlidePart:
    info = work.slide.info
    return SlidePart(
        sha256=work.slide_sha256,
        size_bytes=sum(path.stat().st_size for path in slide_files(work.request.slide)),
        format=info.format,
        vendor=info.vendor,
        width_px=info.width_px,
        height_px=info.height_px,
        mpp=info.mpp,
        mpp_source=info.mpp_source,
        mpp_stated=info.mpp_stated,
        objective_power=info.objective_power,
        bounds=BoxPart(**asdict(info.bounds)),
        has_icc=info.has_icc,
    )


def _configuration(work: Work) -> dict[str, Any]:
    request = asdict(replace(work.request, slide=Path(work.request.slide.name), out=Path(".")))
    chosen = {"provider": work.predictor.provider, "batch_shape": work.predictor.batch_shape}
    return {key: str(value) if isinstance(value, Path) else value for key, value in request.items()} | chosen


def _warnings(work: Work) -> tuple[WarningPart, ...]:
    manifest, guess = work.package.manifest, work.quality.stain
    told = [WarningPart(slug=slug, text=text) for slug, text in work.quality.warnings]
    told += [WarningPart(slug="slide", text=text) for text in work.slide.info.warnings]
    if manifest.stain not in ("any", guess.stain):
        forced = " The run was forced." if work.request.force else ""
        text = f"The slide looks like {guess.stain}, the package is for {manifest.stain}.{forced}"
        told.append(WarningPart(slug="wrong-stain", text=text))
    return tuple(told)


def slide_files(path: Path) -> list[Path]:
    """The files of a slide: itself, or all in its folder."""
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def slide_sha256(path: Path) -> str:
    """SHA-256 of a slide's file; of a folder, of its sorted `path sha256` lines."""
    if path.is_file():
        return file_sha256(path)
    lines = "".join(f"{p.relative_to(path).as_posix()} {file_sha256(p)}\n" for p in slide_files(path))
    return hashlib.sha256(lines.encode()).hexdigest()
