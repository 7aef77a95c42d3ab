"""`python -m training ki67 {prepare,train,evaluate,export}`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from training.ki67.config import CLASSES, Config, experiment_path
from training.loop.config import load_toml

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Ki-67 positive cells predicted from H&E.")

ExperimentOption = Annotated[str, typer.Option("--experiment", help="A recipe kept here: shipped, paper, small.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A recipe of your own (TOML) instead.", exists=True, dir_okay=False)
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Folder of patches, checkpoints and report; runs/ki67/EXPERIMENT.")
]
SourcesOption = Annotated[
    Path | None, typer.Option("--sources", help="A TOML file that names your labelled images.", exists=True)
]
ProcessesOption = Annotated[int, typer.Option("--processes", help="To render phantoms with; 0 is one a core.")]
FoldOption = Annotated[str, typer.Option("--fold", help="A fold's number, `all` for every fold, or `final`.")]
ImagenetOption = Annotated[
    Path | None, typer.Option("--imagenet", help="A file of ResNet18's ImageNet weights to start from.", exists=True)
]
StartOption = Annotated[
    Path | None, typer.Option("--start", help="The folder of a package to go on from.", exists=True, file_okay=False)
]
ZooOption = Annotated[Path, typer.Option("--zoo", help="Folder that the package is written under.")]
SHIPPED = "shipped"
ZOO_DIR = Path("models/zoo")


@app.command()
def prepare(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    sources: SourcesOption = None,
    processes: ProcessesOption = 0,
) -> None:
    """Render the phantoms, read your images, cut patches, part them by case."""
    from training.ki67.data import PARTS
    from training.ki67.data import prepare as run

    recipe, folder = _recipe(experiment, config, work)
    with _bars() as progress:
        prepared = run(recipe, folder, sources, processes or os.cpu_count() or 1, progress)
    table = Table("part", "cases", "images", *CLASSES)
    for part in PARTS:
        rows = [row for row in prepared.images if row.part == part]
        counts = (str(sum(row.patches[name] for row in rows)) for name in CLASSES)
        table.add_row(part, str(len({row.case for row in rows})), str(len(rows)), *counts)
    Console(stderr=True).print(table)


@app.command()
def train(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    fold: FoldOption = "final",
    imagenet: ImagenetOption = None,
    start: StartOption = None,
) -> None:
    """Train the final network, a fold's, or all folds'; goes on with what was interrupted."""
    from training.ki67.train import Start
    from training.ki67.train import train as run

    recipe, folder = _recipe(experiment, config, work)
    for number in _folds(fold, recipe.data.folds):
        typer.echo(
            run(recipe, folder, number, Start(imagenet, start), lambda line: typer.echo(line, err=True)), err=True
        )


@app.command()
def evaluate(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Score the final network on cases it never saw, the folds, and the pairs; report.json and pictures."""
    from training.ki67.card import correlation_numbers
    from training.ki67.evaluate import evaluate as run

    recipe, folder = _recipe(experiment, config, work)
    with _bars() as progress:
        report = run(recipe, folder, progress)
    table = Table("data", "measure", "value", "95 % interval", "n")
    for row in [*report.numbers, *correlation_numbers(report)]:
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(row.data, row.name, f"{row.value:.3f}", interval, str(row.n))
    Console(stderr=True).print(table)


@app.command()
def export(
    version: Annotated[str, typer.Argument(help="The package's version, e.g. 1.0.0.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    zoo: ZooOption = ZOO_DIR,
) -> None:
    """Write the final network as a model package with card, numbers and golden tile."""
    from training.ki67.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    typer.echo(export_package(recipe, folder, zoo, version), err=True)


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = config or experiment_path(experiment)
    return load_toml(path, Config), work or Path("runs/ki67") / path.stem


def _folds(text: str, folds: int) -> list[int | None]:
    """The folds that `--fold` names; None is the final network."""
    if text == "final":
        return [None]
    if text == "all":
        return list(range(folds))
    if not text.isdigit() or int(text) >= folds:
        raise typer.BadParameter(f"--fold takes 0 to {folds - 1}, `all` or `final`, not {text!r}")
    return [int(text)]


@contextmanager
def _bars() -> Iterator["_Tell"]:
    with Progress(console=Console(stderr=True)) as progress:
        yield _Tell(progress)


class _Tell:
    """Progress of named steps, each with a bar of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, int] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """So many of `total` are done."""
        if step not in self._bars:
            self._bars[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._bars[step], completed=done, total=total)  # type: ignore[arg-type]
