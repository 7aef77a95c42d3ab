"""`python -m training deepliif {prepare,synthesize,train,evaluate,export,layout,panels}`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.deepliif.config import EXPERIMENTS, Config
from training.loop.command_line import (
    DATA_DIR,
    SHIPPED,
    ZOO_DIR,
    ConfigOption,
    ExperimentOption,
    JsonOption,
    VersionArgument,
    WorkOption,
    ZooOption,
    progress_bars,
    read_recipe,
    recipe_file,
    tell,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="DeepLIIF: stains and cells from IHC.")

DataOption = Annotated[Path, typer.Option("--data", help="Folder of the real nuclei and the real IHC.")]
TranslatorsOption = Annotated[
    Path | None,
    typer.Option("--translators", help="A folder of G1.pt, G2.pt, ... to start from.", exists=True, file_okay=False),
]


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
    with progress_bars() as progress:
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
    with progress_bars() as progress:
        tell(f"{write_synthetic(recipe, folder, progress)} pictures")


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
    tell(run(recipe, folder, translators))


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
    with progress_bars() as progress:
        report = run(recipe, folder, data, progress)
    typer.echo(report.model_dump_json() if as_json else report_text(report), err=not as_json)


@app.command()
def export(
    version: VersionArgument,
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    zoo: ZooOption = ZOO_DIR,
) -> None:
    """Write the networks as the package deepliif-small, with card, numbers and golden tile."""
    from training.deepliif.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    tell(export_package(recipe, folder, zoo, version))


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
    tell("\n".join(write_layout(recipe, folder, out)))


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
    tell(f"{counts['train']} for training, {counts['val']} for validation, {recipe.data.side_px} px")


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = recipe_file(EXPERIMENTS, experiment, config)
    return read_recipe(path, Config), work or Path("runs/deepliif") / path.stem
