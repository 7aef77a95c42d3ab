"""`histoserve quantise`: a package's network in 8 bits or bfloat16, with what that costs measured and declared."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.errors import RefusedInputError
from models.registry import Package, resolve
from training.quantise.target import Name

Option = typer.Option


def quantise(
    package: Annotated[str, typer.Argument(help="NAME, NAME@VERSION or a package's folder.")],
    held_out: Annotated[list[Path], Option("--held-out", help="A slide to measure the cost on; may be repeated.")],
    calibrate: Annotated[
        list[Path] | None, Option("--calibrate", help="int8: another slide, for the ranges; may be repeated.")
    ] = None,
    to: Annotated[Name, Option("--to", help="int8, or bf16 (bfloat16).")] = "int8",
    out: Annotated[Path, Option("--out", help="Folder that the package is written under.")] = Path("models/zoo"),
    version: Annotated[str, Option("--version", help="The new package's version.")] = "1.0.0",
    data: Annotated[str, Option("--data", help="What the held-out slides are.")] = "the user's own slides",
    synthetic: Annotated[bool, Option("--synthetic", help="The held-out slides are phantoms.")] = False,
    tiles: Annotated[int, Option("--tiles", min=4, max=512, help="Tiles of each slide.")] = 24,
    mpp: Annotated[float | None, Option("--mpp", help="um per level-0 pixel of slides that state none.")] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make NAME-int8 or NAME-bf16 of a package: the same network in 8 bits or bfloat16, faster on many processors.

    int8: weights and activations become whole numbers, their ranges taken from tiles of your slides. bf16: the same
    file, run in bfloat16 on processors that have it, and refused on others. How far its answers are from the
    original's is measured on other slides and written into the new package's manifest and card.

    Examples:

        histoserve quantise nuclei --calibrate a.svs --calibrate b.svs --held-out c.svs --out ./models

        histoserve quantise ./models/deepliif-mask/1.0.0 --to bf16 --held-out b.svs --out ./models --json
    """
    from training.quantise.package import Request, quantise_package

    request = Request(
        package=resolve(package),
        version=version,
        zoo=out,
        calibration=tuple(calibrate or ()),
        held_out=tuple(held_out),
        data=data,
        synthetic=synthetic,
        mpp=mpp,
        tiles=tiles,
        to=to,
    )
    try:
        with Console(stderr=True).status("making it, measuring the cost ..."):
            made = quantise_package(request)
    except ValueError as error:
        raise RefusedInputError(f"{error}.") from error
    _tell(made, as_json)


def _tell(made: Package, as_json: bool) -> None:
    manifest = made.manifest
    if as_json:
        told = {"reference": manifest.reference, "metrics": [m.model_dump(mode="json") for m in manifest.metrics]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return
    table = Table("what it costs", "mean", "95 % interval", title=manifest.reference)
    for metric in manifest.metrics:
        table.add_row(metric.name, f"{metric.value:.4g}", f"{metric.low:.4g} to {metric.high:.4g}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{made.folder}\n[bold]{manifest.not_for}[/]", soft_wrap=True)
