"""What the commands of every training task share: options, the recipe asked for, folds, and what is told on the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.progress import Progress, TaskID

from training.loop.config import experiment_path, load_toml

Model = TypeVar("Model", bound=BaseModel)

ExperimentOption = Annotated[
    str, typer.Option("--experiment", help="A recipe kept in the task's folder: shipped, paper, small, ...")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A recipe of your own (TOML) instead.", exists=True, dir_okay=False)
]
WorkOption = Annotated[
    Path | None,
    typer.Option("--work", help="Folder of data, weights, logs and report; without it runs/TASK/EXPERIMENT."),
]
SourcesOption = Annotated[
    Path | None,
    typer.Option("--sources", help="A TOML file that names your own labelled slides.", exists=True, dir_okay=False),
]
VersionArgument = Annotated[str, typer.Argument(help="The package's version, e.g. 1.0.0.")]
ZooOption = Annotated[Path, typer.Option("--zoo", help="Folder that the package is written under.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SHIPPED = "shipped"
DATA_DIR, ZOO_DIR = Path("../shared/data"), Path("models/zoo")


class Bars:
    """Progress of named steps, each with a bar of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """So many of `total` are done."""
        if step not in self._bars:
            self._bars[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._bars[step], completed=done, total=total)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    """Bars on stderr that a step of a task tells its progress to."""
    with Progress(console=Console(stderr=True)) as progress:
        yield Bars(progress)


def recipe_file(experiments: Path, experiment: str, config: Path | None) -> Path:
    """The file of the recipe asked for: one's own, or an experiment kept in a task's folder.

    Raises
    ------
    typer.BadParameter
        There is no experiment of that name.
    """
    try:
        return config or experiment_path(experiments, experiment)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def read_recipe(path: Path, model: type[Model]) -> Model:
    """The recipe in a file.

    Raises
    ------
    typer.BadParameter
        It is no TOML, or a key is missing, unknown or out of range.
    """
    try:
        return load_toml(path, model)
    except ValueError as error:
        raise typer.BadParameter(f"{path.name}: {error}") from error


def fold_numbers(text: str, folds: int) -> list[int | None]:
    """The folds that `--fold` names: a number, `all`, or `final`; None is the final network.

    Raises
    ------
    typer.BadParameter
        It is none of these.
    """
    if text == "final":
        return [None]
    if text == "all":
        return list(range(folds))
    if not text.isdigit() or int(text) >= folds:
        raise typer.BadParameter(f"--fold takes 0 to {folds - 1}, `all` or `final`, not {text!r}")
    return [int(text)]


def tell(text: object) -> None:
    """A line on stderr: stdout is for answers."""
    typer.echo(text, err=True)
