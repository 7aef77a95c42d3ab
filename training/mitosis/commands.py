"""`python -m training mitosis {prepare,train,evaluate,export,phh3}`."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.loop.command_line import (
    DATA_DIR,
    SHIPPED,
    ZOO_DIR,
    ConfigOption,
    ExperimentOption,
    SourcesOption,
    VersionArgument,
    WorkOption,
    ZooOption,
    read_recipe,
    recipe_file,
    tell,
)
from training.mitosis.config import EXPERIMENTS, Config
from training.mitosis.phh3.commands import app as phh3_app

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Mitotic figures in H&E.")
app.add_typer(phh3_app, name="phh3")

DataOption = Annotated[Path, typer.Option("--data", help="Folder that holds mitosis_brecahad.")]
FoldOption = Annotated[
    str, typer.Option("--fold", help="A held-out case, `final` (nothing real held out), or `all` of the recipe's.")
]

RUNS = Path("runs/mitosis")


@app.command()
def prepare(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    data: DataOption = DATA_DIR,
    work: WorkOption = None,
    sources: SourcesOption = None,
) -> None:
    """Draw the phantoms, find candidates, cut patches. Does nothing where all is there."""
    from training.mitosis.prepare import prepare as run
    from training.sets.sources import read_sources_file

    recipe, folder = _recipe(experiment, config, work)
    own = () if sources is None else read_sources_file(sources)
    prepared = run(data, data_folder(folder, recipe), recipe, own, tell)
    source_of = {image.name: image.source for image in prepared.images}
    patches = Counter(source_of[name] for name in prepared.patches.images.tolist())
    table = Table("source", "images", "cases", "mitoses", "patches without", "candidate recall")
    for source, (found, every) in prepared.candidate_recall.items():
        images = [image for image in prepared.images if image.source == source]
        numbers = (len(images), len({i.case for i in images}), every, patches[source] - every)
        table.add_row(source, *map(str, numbers), f"{found / every:.3f}" if every else "-")
    Console(stderr=True).print(table)


@app.command()
def train(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    fold: FoldOption = "all",
    work: WorkOption = None,
    start: Annotated[
        Path | None, typer.Option("--start", help="Folder of a package to go on from (fine-tuning).", file_okay=False)
    ] = None,
) -> None:
    """Train the chain CNN3, CNN4, CNN5 of a fold or of all; resumes what was interrupted."""
    from training.mitosis.chain import train_fold
    from training.mitosis.fold import open_fold
    from training.mitosis.parts import fold_names
    from training.mitosis.prepare import load_prepared

    recipe, folder = _recipe(experiment, config, work)
    prepared = load_prepared(data_folder(folder, recipe))
    names = fold_names(prepared.images, recipe) if fold == "all" else (fold,)
    for name in names:
        weights = None if start is None else start / "weights.npz"
        tell(train_fold(open_fold(prepared, recipe, folder, name), weights))


@app.command()
def evaluate(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Score held-out images whole; report.json, pictures, and a table beside other experiments' on the same data."""
    from training.mitosis.card import chain_table, score_table
    from training.mitosis.compare import comparison
    from training.mitosis.evaluate import evaluate as run
    from training.mitosis.fold import network_names
    from training.mitosis.pictures import draw_pictures
    from training.mitosis.prepare import load_prepared

    recipe, folder = _recipe(experiment, config, work)
    prepared = load_prepared(data_folder(folder, recipe))
    report = run(prepared, recipe, folder, tell)
    draw_pictures(prepared, recipe, folder, report)
    tell(score_table(report.networks[network_names(recipe)[-1]]))
    tell("\n" + chain_table(report))
    tell("\n" + comparison(folder))


@app.command()
def export(
    version: VersionArgument,
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    zoo: ZooOption = ZOO_DIR,
) -> None:
    """Write the final network as a model package with card, metrics, golden tile and weights to go on from."""
    from training.mitosis.package import export_package
    from training.mitosis.prepare import load_prepared

    recipe, folder = _recipe(experiment, config, work)
    prepared = load_prepared(data_folder(folder, recipe))
    tell(export_package(prepared, recipe, folder, zoo, version))


def data_folder(work: Path, recipe: Config) -> Path:
    """Where the prepared data of a recipe lies: beside the work folder, shared by experiments on the same data."""
    return work.parent / f"data-{recipe.data_digest()[:12]}"


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe and the folder it works in."""
    path = recipe_file(EXPERIMENTS, experiment, config)
    recipe = read_recipe(path, Config).model_copy(update={"name": path.stem})
    return recipe, work or RUNS / path.stem
