"""`histoserve plan`: what a run will take, before it runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.parameters import FORCE, read_settings
from workers.contract.regions import read_geojson, read_regions
from workers.contract.signals import stop_on_signals

if TYPE_CHECKING:
    from workers.capacity.forecast import Forecast

Option = typer.Option


def plan(
    slide: Annotated[Path, typer.Argument(help="The slide: a file, or a folder of DICOM files.")],
    package: Annotated[str | None, Option("--package", help="NAME, NAME@VERSION or a package's folder.")] = None,
    analysis: Annotated[str | None, Option("--analysis", help="The newest package that serves an analysis.")] = None,
    workers: Annotated[int, Option("--workers", min=1, max=1024, help="Workers that share the slide.")] = 1,
    mpp: Annotated[float | None, Option("--mpp", help="um per level-0 pixel; overrides the slide's.")] = None,
    provider: Annotated[str, Option("--provider", help="onnxruntime-cpu, onnxruntime-cuda, openvino-cpu, …")] = "auto",
    tile: Annotated[int | None, Option("--tile", min=8, max=8192, help="Tile side in px, where possible.")] = None,
    batch: Annotated[int | None, Option("--batch", min=1, max=256, help="Tiles per batch.")] = None,
    readers: Annotated[int, Option("--readers", min=1, max=64, help="Reader threads.")] = 2,
    threads: Annotated[int | None, Option("--threads", min=1, help="Threads of the network's runtime.")] = None,
    force: Annotated[bool, Option("--force", help="The same as --set force=true.")] = False,
    settings: Annotated[
        list[str] | None, Option("--set", help="NAME=VALUE: a number of the package; may be repeated.")
    ] = None,
    regions: Annotated[Path | None, Option("--regions", help="GeoJSON polygons in level-0 px to look at.")] = None,
    outputs: Annotated[str | None, Option("--outputs", help="Maps to keep, as seg,marker: as for `run`.")] = None,
    seconds: Annotated[
        float, Option("--seconds", min=0.1, max=3600, help="How long the network runs to calibrate, about.")
    ] = 5.0,
    measure: Annotated[bool, Option("--measure", help="Calibrate, and keep what is found in the profile.")] = False,
    profile: Annotated[Path | None, Option("--profile", help="The profile; in the user's cache by default.")] = None,
    as_json: Annotated[bool, Option("--json", help="The forecast as one JSON document on stdout.")] = False,
) -> None:
    """Say how long a run will take, how much memory it needs and how large its result is.

    Examples:

        histoserve plan slide.svs --analysis mitosis

        histoserve plan slide.svs --package nuclei --workers 8 --json

        histoserve plan slide.svs --package nuclei --measure --seconds 60

    The slide is opened and its tissue found; then a few tiles at random places are run for real, to a result that is
    thrown away. With --measure, what they took is kept, and later plans of the same package on this machine need no
    tiles. Exit codes: 0 done, 2 refused input, 3 not scorable, 1 anything else.
    """
    from workers.capacity.planning import Wanted, plan_slide
    from workers.capacity.profile import profile_path
    from workers.commands import choose_package
    from workers.engine.progress import console_report
    from workers.engine.work import RunRequest

    request = RunRequest(
        slide=slide,
        package=choose_package(package, analysis),
        out=Path(),
        mpp=mpp,
        provider=provider,
        tile_px=tile,
        batch=batch,
        readers=readers,
        threads=threads,
        parameters=read_settings(settings or []) | ({FORCE: True} if force else {}),
        regions=None if regions is None else read_regions(read_geojson(regions)),
        outputs=None if outputs is None else tuple(name.strip() for name in outputs.split(",") if name.strip()),
    )
    wanted = Wanted(workers, seconds, profile_path(profile), measure)
    with stop_on_signals() as stop, console_report(sys.stderr) as report:
        forecast = plan_slide(request, wanted, report, stop)
    if as_json:
        typer.echo(forecast.model_dump_json(indent=2))
    else:
        _print_forecast(forecast)


def _print_forecast(forecast: "Forecast") -> None:
    console = Console(highlight=False)
    table = Table(title=f"{forecast.package} on {forecast.provider}", show_header=False)
    work, shared = forecast.work, forecast.workers
    table.add_row("tissue", f"{work.tissue_mm2:.2f} mm2, {work.tiles} tiles in {work.bands} bands")
    for name, value in forecast.stages_s.items():
        table.add_row(f"  {name}", f"{value:.1f} s")
    table.add_row("seconds", f"{forecast.total_s:.0f} ({forecast.cpu_s:.0f} of processors)")
    if shared.workers > 1:
        table.add_row(
            f"seconds, {shared.workers} workers", f"{shared.total_s:.0f} ({shared.speed_up:.1f} times faster)"
        )
    table.add_row("memory", f"{forecast.memory_bytes / 2**20:.0f} MiB")
    table.add_row("result", f"{forecast.result_bytes / 1e6:.1f} MB")
    console.print(table)
    basis = forecast.basis
    console.print(
        f"From {basis.sampled_tiles} tiles ({basis.source}, {basis.measured}, load {basis.load_average:.1f})."
    )
    console.print(f"[bold]{forecast.notice}[/]", soft_wrap=True)
