"""`histoserve run`: the engine without the service. Same code, same bytes."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import RefusedInputError
from models.parameters import FORCE, read_settings
from workers.contract.regions import read_geojson, read_regions
from workers.contract.signals import stop_on_signals
from workers.result import Result
from workers.result_scores import flat_scores
from workers.slides import started_probe

Option = typer.Option


def run(
    slide: Annotated[Path, typer.Argument(help="The slide: a file, or a folder of DICOM files.")],
    out: Annotated[Path, Option("--out", help="Folder for the result; made if absent.")],
    package: Annotated[str | None, Option("--package", help="NAME, NAME@VERSION or a package's folder.")] = None,
    analysis: Annotated[str | None, Option("--analysis", help="The newest package that serves an analysis.")] = None,
    mpp: Annotated[float | None, Option("--mpp", help="um per level-0 pixel; overrides the slide's.")] = None,
    provider: Annotated[str, Option("--provider", help="onnxruntime-cpu, openvino-cpu, …, or fastest")] = "auto",
    tile: Annotated[int | None, Option("--tile", min=8, max=8192, help="Tile side in px, where possible.")] = None,
    batch: Annotated[int | None, Option("--batch", min=1, max=256, help="Tiles per batch.")] = None,
    readers: Annotated[int, Option("--readers", min=1, max=64, help="Reader threads.")] = 2,
    threads: Annotated[int | None, Option("--threads", min=1, help="Threads of the network's runtime.")] = None,
    force: Annotated[bool, Option("--force", help="The same as --set force=true.")] = False,
    forced_by: Annotated[str | None, Option("--forced-by", help="Who answers for --force; you, if not given.")] = None,
    settings: Annotated[
        list[str] | None, Option("--set", help="NAME=VALUE: a number of the package; may be repeated.")
    ] = None,
    regions: Annotated[Path | None, Option("--regions", help="GeoJSON polygons in level-0 px to look at.")] = None,
    dzi: Annotated[
        bool | None,
        Option("--dzi/--no-dzi", help="Images as Deep Zoom images too; by default the one of a virtual slide."),
    ] = None,
    outputs: Annotated[
        str | None, Option("--outputs", help="Maps to keep, as seg,marker; those that are measured are always kept.")
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Throw away another run's work in --out.")] = False,
    as_json: Annotated[bool, Option("--json", help="The result as one JSON document on stdout.")] = False,
) -> None:
    """Analyse a slide with a model package.

    Examples:

        histoserve run slide.svs --package nuclei --out out

        histoserve run slide.svs --package nuclei --out out --mpp 0.5 --json

        histoserve run slide.svs --package ./my-package --out out --provider openvino-cpu --tile 1024

        histoserve run slide.svs --package nuclei --out out --regions tumour.geojson --set min_area_um2=12

    A slide of another stain, a blurred one, or one with hardly any tissue gets no numbers, but all the reasons (exit
    3). --force overrules them; the result says so, and by whom.

    A run that was stopped or killed goes on where it was when it is started again with the same arguments; the result
    has the same bytes. Exit codes: 0 done, 2 refused input, 3 not scorable, 1 anything else.
    """
    # A child has the first look at the slide while this process loads the engine: either takes as long.
    with started_probe(slide, mpp) as probe:
        from workers.engine.progress import console_report
        from workers.engine.run import run_slide
        from workers.engine.work import RunRequest

        request = RunRequest(
            slide=slide,
            package=choose_package(package, analysis),
            out=out,
            mpp=mpp,
            provider=provider,
            tile_px=tile,
            batch=batch,
            readers=readers,
            threads=threads,
            dzi=dzi,
            overwrite=overwrite,
            forced_by=forced_by or _own_name(),
            parameters=read_settings(settings or []) | ({FORCE: True} if force else {}),
            regions=None if regions is None else read_regions(read_geojson(regions)),
            outputs=None if outputs is None else tuple(name.strip() for name in outputs.split(",") if name.strip()),
        )
        with stop_on_signals() as stop, console_report(sys.stderr) as report:
            result = run_slide(request, report, stop, probe)
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        _print_result(result, out)


def _own_name() -> str:
    """The user of this machine; their number where they have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def choose_package(package: str | None, analysis: str | None) -> str:
    """The reference of what was asked for: a package, or the newest one that serves an analysis."""
    if (package is None) == (analysis is None):
        raise RefusedInputError(
            "Give either --package or --analysis.", "`histoserve models list` shows what is installed."
        )
    if package is not None:
        return package
    from models.registry import find_analysis

    return find_analysis(str(analysis)).manifest.reference


def _print_result(result: Result, out: Path) -> None:
    console = Console(highlight=False)
    numbers = "" if result.package.precision == "float32" else f" in {result.package.precision}"
    table = Table(title=f"{result.package.reference} on {result.package.provider}{numbers}", show_header=False)
    for name, value in flat_scores(result.scores):
        table.add_row(name, value)
    if result.forced is not None:
        slugs = ", ".join(reason.slug for reason in result.forced.reasons)
        table.add_row("forced", f"by {result.forced.by}, in spite of {slugs}", style="bold red")
    table.add_row("tissue", f"{result.plan.tissue_mm2:.3f} mm2")
    table.add_row("tiles", f"{result.plan.tiles_done} of {result.plan.tiles_planned}")
    table.add_row("seconds", f"{result.seconds['total']:.1f}")
    console.print(table)
    for warning in result.warnings:
        console.print(f"[yellow]warning[/] {warning.slug}: {warning.text}")
    console.print(f"{out / 'overview.png'}\n{out / 'result.json'}\n[bold]{result.notice}[/]", soft_wrap=True)
