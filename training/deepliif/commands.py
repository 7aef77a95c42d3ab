"""`python -m training deepliif {prepare,synthesize,train,evaluate,export,layout,panels}`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from training.deepliif.config import Config, experiment_path
from training.loop.config import load_toml

app = typer.Typer(no_args_is_help=True, add_completion=False, help="DeepLIIF: stains and cells from IHC.")

ExperimentOption = Annotated[str, typer.Option("--experiment", help="A recipe kept here: shipped, paper, small, ...")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A recipe of your own (TOML) instead.", exists=True, dir_okay=False)
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Folder of pictures, checkpoints and report; runs/deepliif/EXPERIMENT.")
]
DataOption = Annotated[Path, typer.Option("--data", help="Folder of the real nuclei and the real IHC.")]
TranslatorsOption = Annotated[
    Path | None,
    typer.Option("--translators", help="A folder of G1.pt, G2.pt, ... to start from.", exists=True, file_okay=False),
]
ZooOption = Annotated[Path, typer.Option("--zoo", help="Folder that the package is written under.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The answer as JSON on stdout.")]
SHIPPED = "shipped"
ZOO_DIR, DATA_DIR = Path("models/zoo"), Path("../shared/data")


@app.command()
def prepare(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    data: DataOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Render phantoms, turn real nuclei into IHC, read your panels; part them by case."""
    from training.deepliif.data import prepare as run

    recipe, folder = _recipe(experiment, config, work)
    with _bars() as progress:
        prepared = run(recipe, folder, data, progress)
    if as_json:
        typer.echo(json.dumps(asdict(prepared)))
        return
    table = Table("part", "source", "pictures", "tiles of the part")
    for part, sources in prepared.pictures.items():
        for source, count in sources.items():
            table.add_row(part, source, str(count), str(prepared.tiles.get(part, "")))
    Console(stderr=True).print(table)


@app.command()
def synthesize(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Train the generator of IHC, then draw training pictures with more positive cells."""
    from training.deepliif.synthetic import train_ihc_generator, write_synthetic

    recipe, folder = _recipe(experiment, config, work)
    train_ihc_generator(recipe, folder)
    with _bars() as progress:
        typer.echo(f"{write_synthetic(recipe, folder, progress)} pictures", err=True)


@app.command()
def train(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    translators: TranslatorsOption = None,
) -> None:
    """Train translators and segmenters, or the group that the recipe's stage names; goes on where it stopped."""
    from training.deepliif.train import train as run

    recipe, folder = _recipe(experiment, config, work)
    typer.echo(run(recipe, folder, translators), err=True)


@app.command()
def evaluate(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    data: DataOption = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Measure on pictures never seen, and count real IHC; report.json, report.md and pictures."""
    from training.deepliif.evaluate import evaluate as run
    from training.deepliif.report import report_text

    recipe, folder = _recipe(experiment, config, work)
    with _bars() as progress:
        report = run(recipe, folder, data, progress)
    typer.echo(report.model_dump_json() if as_json else report_text(report), err=not as_json)


@app.command()
def export(
    version: Annotated[str, typer.Argument(help="The package's version, e.g. 1.0.0.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    zoo: ZooOption = ZOO_DIR,
) -> None:
    """Write the networks as the package deepliif-small, with card, numbers and golden tile."""
    from training.deepliif.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    typer.echo(export_package(recipe, folder, zoo, version), err=True)


@app.command()
def layout(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
) -> None:
    """Write the networks as a DeepLIIF model folder."""
    from training.deepliif.layout import write_layout

    recipe, folder = _recipe(experiment, config, work)
    typer.echo("\n".join(write_layout(recipe, folder, out)), err=True)


@app.command()
def panels(
    out: Annotated[Path, typer.Argument(help="A folder, for train/ and val/.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
) -> None:
    """Write the prepared pictures side by side, as DeepLIIF trains on them."""
    from training.deepliif.data import export_panels

    recipe, folder = _recipe(experiment, config, work)
    counts = export_panels(folder, out)
    typer.echo(f"{counts['train']} for training, {counts['val']} for validation, {recipe.data.side_px} px", err=True)


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = config or experiment_path(experiment)
    return load_toml(path, Config), work or Path("runs/deepliif") / path.stem


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
