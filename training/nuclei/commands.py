"""`python -m training nuclei {prepare,train,evaluate,export}`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.nuclei.config import DEFAULT_CONFIG, load_config
from training.nuclei.data import Prepared, load_prepared
from training.nuclei.data import prepare as prepare_data

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The nuclei segmentation network.")

ConfigOption = Annotated[Path, typer.Option("--config", help="The recipe (TOML).", exists=True, dir_okay=False)]
WorkOption = Annotated[Path, typer.Option("--work", help="Folder of prepared data, checkpoints, logs and the report.")]
DataOption = Annotated[
    Path, typer.Option("--data", help="Folder that holds nuclei_dsb2018, nuclei_tnbc and qc_tiles.", exists=True)
]
ZooOption = Annotated[Path, typer.Option("--zoo", help="Folder that the package is written under.")]
FoldOption = Annotated[str, typer.Option("--fold", help="A fold's number, `all` for every fold, or `final`.")]

WORK_DIR = Path("runs/nuclei")
DATA_DIR = Path("../shared/data")
ZOO_DIR = Path("models/zoo")


@app.command()
def prepare(data: DataOption = DATA_DIR, work: WorkOption = WORK_DIR, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring all sources to one scale, group look-alikes, split by group."""
    _tell(prepare_data(data, work, load_config(config)))


@app.command()
def train(fold: FoldOption = "final", work: WorkOption = WORK_DIR, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Train a fold's network, all of them, or the final one; resumes what was interrupted."""
    from training.nuclei.train import train as run

    recipe, prepared = load_config(config), load_prepared(work)
    for number in _folds(fold, recipe.data.folds):
        typer.echo(run(prepared, recipe, work, number), err=True)


@app.command()
def evaluate(data: DataOption = DATA_DIR, work: WorkOption = WORK_DIR, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Score every held-out image by the network that did not see it; report.json, pictures, and a table."""
    from training.nuclei.evaluate import evaluate as run

    report = run(load_prepared(work), load_config(config), work, data)
    table = Table("measure", "value", "95 % interval", "images")
    for name, row in report.estimates.items():
        table.add_row(name, f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}", str(row.n))
    Console(stderr=True).print(table)


@app.command()
def export(
    version: Annotated[str, typer.Argument(help="The package's version, e.g. 1.0.0.")],
    work: WorkOption = WORK_DIR,
    zoo: ZooOption = ZOO_DIR,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write the final network as a model package with card, metrics and golden tile."""
    from training.nuclei.package import export_package

    typer.echo(export_package(load_prepared(work), load_config(config), work, zoo, version), err=True)


def _folds(text: str, folds: int) -> list[int | None]:
    """The folds that `--fold` names; None is the final network."""
    if text == "final":
        return [None]
    if text == "all":
        return list(range(folds))
    if not text.isdigit() or int(text) >= folds:
        raise typer.BadParameter(f"--fold takes 0 to {folds - 1}, `all` or `final`, not {text!r}")
    return [int(text)]


def _tell(prepared: Prepared) -> None:
    table = Table("source", "kind", "images", "nuclei", "groups", "held out in fold")
    rows = list(zip(prepared.samples, prepared.groups, prepared.folds, strict=True))
    for source, kind in sorted({(s.source, s.kind) for s, _, _ in rows}):
        part = [row for row in rows if (row[0].source, row[0].kind) == (source, kind)]
        nuclei = sum(len(set(s.instances.ravel().tolist()) - {0}) for s, _, _ in part)
        folds = ", ".join(str(f) for f in sorted({f for _, _, f in part}))
        table.add_row(source, kind, str(len(part)), str(nuclei), str(len({g for _, g, _ in part})), folds)
    Console(stderr=True).print(table)
