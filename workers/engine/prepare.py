"""What is decided before the first tile: the package, the slide, its quality, the plan, the loaded network."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from models.errors import MppOutOfRangeError, NoTissueError, Reason, RefusedInputError
from models.manifest import Manifest
from models.parameters import CASCADE, FORCE, apply_parameters, read_parameters
from models.registry import Package, resolve
from models.runtimes import load_predictor
from workers.engine.cascade import Look, cascade_rules, cells_with_candidates
from workers.engine.keep import choose_targets
from workers.engine.progress import Event, Report
from workers.engine.stopwatch import Stopwatch
from workers.engine.work import RunRequest, Work
from workers.geometry import Frame
from workers.outputs.files import slide_sha256
from workers.plan import Grid, Plan, cell_shape, choose_grid, make_plan, spare_cells
from workers.quality import QualityReport, assess, tissue_cells
from workers.quality.scorable import check_scorable, find_reasons, tissue_in
from workers.regions import Shape, cut_cells, region_shapes
from workers.slides import Probe, Slide, SlideInfo, frame_mpp, frame_size, open_slide, probe_slide


@contextmanager
def opened_slide(
    request: RunRequest, watch: Stopwatch, *, is_known: bool = False, probe: Probe | None = None
) -> Iterator[tuple[Slide, Package]]:
    """The slide, and the package that suits its resolution.

    A slide that is not known yet is first opened by a limited child: by that of `probe`, where it has begun already.

    Raises
    ------
    RefusedInputError
        The slide or the package cannot be worked with.
    """
    with watch.stage("open"):
        package = resolve(request.package)
        if not is_known:
            _check_mpp(probe() if probe else probe_slide(request.slide, request.mpp), package.manifest)
        slide = open_slide(request.slide, request.mpp)
    try:
        _check_mpp(slide.info, package.manifest)
        yield slide, package
    finally:
        slide.close()


def prepare(
    request: RunRequest,
    slide: Slide,
    package: Package,
    report: Report,
    watch: Stopwatch,
    stop: threading.Event,
) -> Work:
    """All that a run needs to know before its first tile; nothing is written.

    Raises
    ------
    RefusedInputError
        A parameter is not the package's, or a region is not the slide's.
    NotScorableError
        There is no tissue; or stain, focus or too little tissue speak against a number and the run is not forced.
    """
    parameters = read_parameters(package.manifest, request.parameters)
    manifest = apply_parameters(package.manifest, parameters)
    package = replace(package, manifest=manifest)
    shapes = region_shapes(request.regions, slide.info)
    with watch.stage("digest slide"):
        digest = request.slide_sha256 or slide_sha256(request.slide)
    with watch.stage("quality"):
        report(Event("quality", 0, 1))
        quality = assess(slide)
        report(Event("quality", 1, 1))
    plan = _plan(slide, manifest, request.tile_px, quality, shapes)
    reasons = find_reasons(
        quality, manifest, tissue_in(quality.tissue, plan.analysed, plan.grid.cell_px * plan.frame.mpp)
    )
    check_scorable(reasons, force=FORCE in parameters)
    if CASCADE in parameters:
        with watch.stage("cascade"):
            look = Look(slide, plan.frame, plan.grid, request.readers, report, stop)
            plan = spare_cells(plan, cells_with_candidates(look, cascade_rules(manifest), plan.cells, plan.tissue))
    targets = choose_targets(manifest, plan.frame, plan.grid, request.outputs)
    kept = {target.output.name for target in targets}
    with watch.stage("load network"):
        predictor = load_predictor(package, request.provider, request.tile_px, request.batch, request.threads, kept)
    return Work(
        request=request,
        slide=slide,
        slide_sha256=digest,
        package=package,
        parameters=parameters,
        predictor=predictor,
        plan=plan,
        shapes=shapes,
        targets=targets,
        quality=quality,
        overridden=reasons,
        report=report,
        watch=watch,
        stop=stop,
    )


def _check_mpp(info: SlideInfo, manifest: Manifest) -> None:
    grid = manifest.grid
    mpp = frame_mpp(info, grid.mpp)
    if info.mpp > grid.mpp_max or not grid.mpp_min <= mpp <= grid.mpp_max:
        text = f"The slide has {info.mpp:.4g} um/px; {manifest.reference} takes {grid.mpp_min:g} to {grid.mpp_max:g}."
        raise MppOutOfRangeError(
            text,
            "Use a package made for this resolution, or give the true one with --mpp.",
            [Reason(MppOutOfRangeError.slug, text, info.mpp, f"{grid.mpp_min:g} to {grid.mpp_max:g}")],
        )


def _plan(
    slide: Slide, manifest: Manifest, tile_px: int | None, quality: QualityReport, shapes: tuple[Shape, ...]
) -> Plan:
    info = slide.info
    mpp = frame_mpp(info, manifest.grid.mpp)
    width, height = frame_size(info, mpp)
    frame = Frame(mpp=mpp, width_px=width, height_px=height, level0_mpp=info.mpp, bounds=info.bounds)
    grid = _grid(manifest, tile_px)
    tissue = tissue_cells(quality.tissue, frame, grid.cell_px, cell_shape(frame, grid))
    if not tissue.any():
        text = "Nothing on the slide looks like tissue."
        raise NoTissueError(
            text,
            "Look at the slide; a blank or pen-covered one has nothing to analyse.",
            [Reason(NoTissueError.slug, text, quality.tissue_fraction, 0.0)],
        )
    analysed = cut_cells(tissue, shapes, frame, grid)
    computed = cut_cells(np.ones_like(tissue), shapes, frame, grid) if grid.is_clamped else analysed
    return make_plan(frame, grid, computed, tissue)


def _grid(manifest: Manifest, tile_px: int | None) -> Grid:
    try:
        return choose_grid(manifest.grid, manifest.outputs, tile_px)
    except ValueError as error:
        raise RefusedInputError(f"{manifest.reference}: {error}.", "Leave --tile away, or give another.") from error
