"""`python -m training virtual-ihc {prepare,train,evaluate,export}`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.loop.command_line import (
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
from training.virtual_ihc.config import EXPERIMENTS, HE, KI67, Config

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Virtual Ki-67 IHC from H&E, without pairs.")

HeOption = Annotated[
    list[Path] | None, typer.Option("--he", help="Your own H&E: a slide, or a folder of slides. May be repeated.")
]
IhcOption = Annotated[
    list[Path] | None, typer.Option("--ihc", help="Your own Ki-67 IHC: a slide, or a folder of slides.")
]
MppOption = Annotated[float | None, typer.Option("--image-mpp", help="um/px of PNG and JPEG files among them.")]
ProcessesOption = Annotated[int, typer.Option("--processes", help="To render phantoms with; 0 is one a core.")]
ImagenetOption = Annotated[
    Path | None, typer.Option("--imagenet", help="A file of ResNet18's ImageNet weights for the hash.", exists=True)
]
HashOption = Annotated[
    Path | None,
    typer.Option("--hash-package", help="A package ki67-he whose ResNet18 stands in; the zoo's where there is one."),
]


@app.command()
def prepare(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    he: HeOption = None,
    ihc: IhcOption = None,
    image_mpp: MppOption = None,
    processes: ProcessesOption = 0,
) -> None:
    """Render the phantoms and cut them and your own slides into tiles: H&E of some, Ki-67 of others."""
    from training.virtual_ihc.data import own_sources
    from training.virtual_ihc.data import prepare as run

    recipe, folder = _recipe(experiment, config, work)
    own = [*own_sources(he or [], HE, image_mpp), *own_sources(ihc or [], KI67, image_mpp)]
    with progress_bars() as progress:
        prepared = run(recipe, folder, own, processes or os.cpu_count() or 1, progress)
    table = Table("part", "stain", "slides", "tiles")
    for part, stain in sorted({(row.part, row.stain) for row in prepared.slides}):
        rows = [row for row in prepared.slides if (row.part, row.stain) == (part, stain)]
        table.add_row(part, stain, str(len(rows)), str(sum(row.tiles for row in rows)))
    Console(stderr=True).print(table)


@app.command()
def train(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Train generators and discriminators; goes on with what was interrupted."""
    from training.virtual_ihc.train import train as run

    tell(run(*_recipe(experiment, config, work)))


@app.command()
def evaluate(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    imagenet: ImagenetOption = None,
    hash_package: HashOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the virtual stain against the true one of phantoms it never saw; report.json, report.md and pictures."""
    from training.virtual_ihc.evaluate import evaluate as run
    from training.virtual_ihc.quality import hash_net

    recipe, folder = _recipe(experiment, config, work)
    net = hash_net(imagenet, hash_package or _newest(ZOO_DIR / "ki67-he"))
    with progress_bars() as progress:
        report = run(recipe, folder, net, progress)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
        return
    table = Table("data", "measure", "value", "95 % interval", "n")
    for row in report.numbers:
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
    """Write the generator from H&E to Ki-67 as a model package with card, numbers and golden tile."""
    from training.virtual_ihc.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    tell(export_package(recipe, folder, zoo, version))


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = recipe_file(EXPERIMENTS, experiment, config)
    return read_recipe(path, Config), work or Path("runs/virtual-ihc") / path.stem


def _newest(folder: Path) -> Path | None:
    """The newest version of a package in the zoo; None where there is none."""
    versions = [path for path in folder.glob("*.*.*") if all(part.isdigit() for part in path.name.split("."))]
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".")], default=None)
