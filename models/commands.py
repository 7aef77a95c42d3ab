"""`histoserve models`: what is installed, whether it is sound, and how foreign models become packages."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from models.errors import RefusedInputError

if TYPE_CHECKING:
    from models.registry import Package
    from models.verify import Verification

app = typer.Typer(
    help="Model packages: list what is installed, verify it, import models of other projects.", no_args_is_help=True
)
importers = typer.Typer(help="Make a package of another project's model.", no_args_is_help=True)
app.add_typer(importers, name="import")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command("list")
def list_installed(as_json: Json = False) -> None:
    """Show the packages under HISTOSERVE_MODEL_DIR and those that came with histoserve.

    Example:

        histoserve models list --json
    """
    from models.registry import scan_packages

    packages, broken = scan_packages()
    if as_json:
        document = {"packages": [_describe(p) for p in packages], "broken": [e.as_problem() for e in broken]}
        typer.echo(json.dumps(document, indent=2))
        return
    _print_packages(packages)
    for error in broken:
        typer.echo(f"not valid: {error.detail}", err=True)


@app.command("verify")
def verify(
    references: Annotated[
        list[str] | None, typer.Argument(metavar="[REFERENCE]...", help="NAME, NAME@VERSION or a folder; all if none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check digests, and run the golden tile on every provider of this machine; exit 1 if anything fails.

    Examples:

        histoserve models verify

        histoserve models verify nuclei@1.0.0 ./my-package --json
    """
    from models.registry import resolve, scan_packages
    from models.verify import verify_package

    packages, broken = ([resolve(r) for r in references], ()) if references else scan_packages()
    outcomes = [verify_package(package) for package in packages]
    passed = not broken and all(outcome.passed for outcome in outcomes)
    if as_json:
        document = {
            "passed": passed,
            "packages": [outcome.as_dict() for outcome in outcomes],
            "broken": [error.as_problem() for error in broken],
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_outcomes(outcomes)
        for error in broken:
            typer.echo(f"failed: {error.detail}", err=True)
    if not passed:
        raise typer.Exit(1)


@importers.command("wsinfer")
def import_from_wsinfer(
    folder: Annotated[Path, typer.Argument(help="A WSInfer-zoo model: torchscript_model.pt and config.json.")],
    name: Annotated[str, typer.Option("--name", help="The package's name: a-z, 0-9 and dashes.")],
    version: Annotated[str, typer.Option("--version", help="The package's version, as 1.0.0.")] = "1.0.0",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of packages; HISTOSERVE_MODEL_DIR where it is not given.")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="The licence the model's card states.")] = "not stated",
    as_json: Json = False,
) -> None:
    """Make a verified package of a WSInfer-zoo folder. A TorchScript file is code: import only what you would run.

    Example:

        histoserve models import wsinfer ./breast-tumor-resnet34.tcga-brca --name breast-tumour --out ./models
    """
    from models.importers.wsinfer import import_wsinfer

    _tell_imported(import_wsinfer(folder, _import_folder(out), name, version, licence), as_json)


@importers.command("deepliif")
def import_from_deepliif(
    folder: Annotated[Path, typer.Argument(help="A DeepLIIF model: train_opt.txt and networks as .pt or .pth.")],
    name: Annotated[str, typer.Option("--name", help="The package's name: a-z, 0-9 and dashes.")],
    mode: Annotated[
        Literal["compat", "exact"],
        typer.Option("--mode", help="compat: each tile by its own statistics, as DeepLIIF; exact: fitted per slide."),
    ] = "compat",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="An output to keep, as seg; again for more. All if not given.")
    ] = None,
    uniform_weights: Annotated[
        bool, typer.Option("--uniform-weights", help="Masks weigh the same, as in DeepLIIF's whole-slide commands.")
    ] = False,
    epoch: Annotated[str, typer.Option("--epoch", help="Which state dicts: EPOCH_net_NAME.pth.")] = "latest",
    tile_px: Annotated[int | None, typer.Option("--tile", help="exact: the side a tile keeps, in px.")] = None,
    halo_px: Annotated[int | None, typer.Option("--halo", help="exact: read around it, in px.")] = None,
    version: Annotated[str, typer.Option("--version", help="The package's version, as 1.0.0.")] = "1.0.0",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of packages; HISTOSERVE_MODEL_DIR where it is not given.")
    ] = None,
    licence: Annotated[str, typer.Option("--licence", help="The licence the weights are under.")] = "not stated",
    as_json: Json = False,
) -> None:
    """Make a verified package of a DeepLIIF model folder. Nothing of the folder is run. Needs histoserve[train].

    Example:

        histoserve models import deepliif ./DeepLIIF_Latest_Model --name deepliif-mask --only seg --out ./models
    """
    from models.importers.deepliif.package import Request, import_deepliif

    request = Request(name, version, mode, tuple(only or ()), uniform_weights, epoch, tile_px, halo_px, licence)
    _tell_imported(import_deepliif(folder, _import_folder(out), request), as_json)


def _tell_imported(package: "Package", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_describe(package) | {"folder": str(package.folder)}, indent=2))
        return
    typer.echo(f"{package.manifest.reference} is in {package.folder}; its golden tile was run.")
    typer.echo(f"Use it with: histoserve run SLIDE --package {package.folder} --out OUT")


def _import_folder(out: Path | None) -> Path:
    from models.registry import ZOO, model_roots

    own = model_roots()[0]
    if out is None and own == ZOO:
        raise RefusedInputError("There is no folder to import to.", "Give --out, or set HISTOSERVE_MODEL_DIR.")
    return own if out is None else out


def _describe(package: "Package") -> dict[str, Any]:
    """What `list` tells of a package, ready for JSON."""
    manifest = package.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "analysis": manifest.analysis,
        "task": manifest.task,
        "stain": manifest.stain,
        "runtime": manifest.runtime,
        "mpp": manifest.grid.mpp,
        "licence": manifest.licence,
        "metrics": [metric.model_dump(mode="json") for metric in manifest.metrics],
        "size_bytes": sum(file.size_bytes for file in manifest.files),
        "manifest_sha256": package.manifest_sha256,
    }


def _print_packages(packages: "tuple[Package, ...]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "version", "task", "stain", "mpp", "licence", "measured", "size")
    for package in packages:
        m = package.manifest
        size = f"{sum(file.size_bytes for file in m.files) / 1e6:.1f} MB"
        table.add_row(m.name, m.version, m.task, m.stain, f"{m.grid.mpp:g}", m.licence, _headline(package), size)
    Console().print(table if packages else "No packages are installed. Set HISTOSERVE_MODEL_DIR to where yours are.")


def _headline(package: "Package") -> str:
    """The first metric, with its interval and whether it is of made data."""
    if not package.manifest.metrics:
        return "nothing stated"
    metric = package.manifest.metrics[0]
    interval = "" if metric.low is None or metric.high is None else f" ({metric.low:.3g} to {metric.high:.3g})"
    return f"{metric.name} {metric.value:.3g}{interval}" + (", synthetic" if metric.synthetic else "")


def _print_outcomes(outcomes: "list[Verification]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in ("package", "provider", "outcome", "difference", "allowed"):
        table.add_column(column, no_wrap=True)
    for v in outcomes:
        if not v.providers:
            table.add_row(v.reference, "files", v.files)
        for o in v.providers:
            difference = "" if o.difference is None else f"{o.difference:.2g}"
            table.add_row(v.reference, o.provider, o.status, difference, f"{v.tolerance:g}")
    Console().print(table if outcomes else "No packages are installed.")
    for detail in (
        d for v in outcomes for d in (v.detail, *(o.detail for o in v.providers if o.status == "failed")) if d
    ):
        typer.echo(detail)
