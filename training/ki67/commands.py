"""`python -m training ki67 {prepare,train,evaluate,export}`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.ki67.config import CLASSES, EXPERIMENTS, Config
from training.loop.command_line import (
    SHIPPED,
    ZOO_DIR,
    ConfigOption,
    ExperimentOption,
    SourcesOption,
    VersionArgument,
    WorkOption,
    ZooOption,
    fold_numbers,
    progress_bars,
    read_recipe,
    recipe_file,
    tell,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Ki-67 positive cells predicted from H&E.")

ProcessesOption = Annotated[int, typer.Option("--processes", help="To render phantoms with; 0 is one a core.")]
FoldOption = Annotated[str, typer.Option("--fold", help="A fold's number, `all` for every fold, or `final`.")]
ImagenetOption = Annotated[
    Path | None, typer.Option("--imagenet", help="A file of ResNet18's ImageNet weights to start from.", exists=True)
]
StartOption = Annotated[
    Path | None, typer.Option("--start", help="The folder of a package to go on from.", exists=True, file_okay=False)
]
RUNS = Path("runs/ki67")


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
    with progress_bars() as progress:
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
    for number in fold_numbers(fold, recipe.data.folds):
        tell(run(recipe, folder, number, Start(imagenet, start), tell))


@app.command()
def evaluate(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Score the final network on cases it never saw, the folds, and the pairs; report.json and pictures."""
    from training.ki67.card import correlation_numbers
    from training.ki67.evaluate import evaluate as run

    recipe, folder = _recipe(experiment, config, work)
    with progress_bars() as progress:
        report = run(recipe, folder, progress)
    table = Table("data", "measure", "value", "95 % interval", "n")
    for row in [*report.numbers, *correlation_numbers(report)]:
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        table.add_row(row.data, row.name, f"{row.value:.3f}", interval, str(row.n))
    Console(stderr=True).print(table)


@app.command()
def export(
    version: VersionArgument,
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    zoo: ZooOption = ZOO_DIR,
) -> None:
    """Write the final network as a model package with card, numbers and golden tile."""
    from training.ki67.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    tell(export_package(recipe, folder, zoo, version))


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = recipe_file(EXPERIMENTS, experiment, config)
    return read_recipe(path, Config), work or RUNS / path.stem
