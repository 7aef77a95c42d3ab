"""`python -m training virtual-ihc {prepare,train,evaluate,export}`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from training.loop.config import load_toml
from training.virtual_ihc.config import HE, KI67, Config, experiment_path

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Virtual Ki-67 IHC from H&E, without pairs.")

ExperimentOption = Annotated[str, typer.Option("--experiment", help="A recipe kept here: shipped, paper, small, ...")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="A recipe of your own (TOML) instead.", exists=True, dir_okay=False)
]
WorkOption = Annotated[
    Path | None, typer.Option("--work", help="Folder of tiles, checkpoints and report; runs/virtual-ihc/EXPERIMENT.")
]
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
ZooOption = Annotated[Path, typer.Option("--zoo", help="Folder that the package is written under.")]
SHIPPED = "shipped"
ZOO_DIR = Path("models/zoo")


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
    with _bars() as tell:
        prepared = run(recipe, folder, own, processes or os.cpu_count() or 1, tell)
    table = Table("part", "stain", "slides", "tiles")
    for part, stain in sorted({(row.part, row.stain) for row in prepared.slides}):
        rows = [row for row in prepared.slides if (row.part, row.stain) == (part, stain)]
        table.add_row(part, stain, str(len(rows)), str(sum(row.tiles for row in rows)))
    Console(stderr=True).print(table)


@app.command()
def train(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Train generators and discriminators; goes on with what was interrupted."""
    from training.virtual_ihc.train import train as run

    typer.echo(run(*_recipe(experiment, config, work)), err=True)


@app.command()
def evaluate(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    imagenet: ImagenetOption = None,
    hash_package: HashOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold the virtual stain against the true one of phantoms it never saw; report.json, report.md and pictures."""
    from training.virtual_ihc.evaluate import evaluate as run
    from training.virtual_ihc.quality import hash_net

    recipe, folder = _recipe(experiment, config, work)
    net = hash_net(imagenet, hash_package or _newest(ZOO_DIR / "ki67-he"))
    with _bars() as tell:
        report = run(recipe, folder, net, tell)
    if json:
        typer.echo(report.model_dump_json(indent=1))
        return
    table = Table("data", "measure", "value", "95 % interval", "n")
    for row in report.numbers:
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
    """Write the generator from H&E to Ki-67 as a model package with card, numbers and golden tile."""
    from training.virtual_ihc.package import export_package

    recipe, folder = _recipe(experiment, config, work)
    typer.echo(export_package(recipe, folder, zoo, version), err=True)


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Config, Path]:
    """The recipe asked for and its work folder."""
    path = config or experiment_path(experiment)
    return load_toml(path, Config), work or Path("runs/virtual-ihc") / path.stem


def _newest(folder: Path) -> Path | None:
    """The newest version of a package in the zoo; None where there is none."""
    versions = [path for path in folder.glob("*.*.*") if all(part.isdigit() for part in path.name.split("."))]
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".")], default=None)


@contextmanager
def _bars() -> Iterator["_Tell"]:
    with Progress(console=Console(stderr=True)) as progress:
        yield _Tell(progress)


class _Tell:
    """Progress of named steps, each with a bar of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """So many of `total` are done."""
        if step not in self._bars:
            self._bars[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._bars[step], completed=done, total=total)
