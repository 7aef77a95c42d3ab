"""`python -m training mitosis phh3 {prepare,train,candidates,annotate,evaluate,readers}`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.loop.command_line import (
    DATA_DIR,
    SHIPPED,
    ConfigOption,
    ExperimentOption,
    JsonOption,
    SourcesOption,
    WorkOption,
    read_recipe,
    recipe_file,
    tell,
)
from training.mitosis.phh3.config import EXPERIMENTS, Phh3Config

if TYPE_CHECKING:
    from training.metrics.agreement import Agreement
    from training.metrics.intervals import Estimate
    from training.mitosis.phh3.readers import HumanReference

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Mitoses of H&E slides from the same sections in PHH3."
)

SlideArgument = Annotated[Path, typer.Argument(exists=True)]
MppOption = Annotated[float | None, typer.Option("--mpp", help="um per level-0 px, where the files do not say.")]
RUNS = Path("runs/phh3")


@app.command()
def prepare(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    sources: SourcesOption = None,
) -> None:
    """Draw phantom pairs, find brown candidates, label them, cut patches."""
    from training.mitosis.phh3.data import prepare_phh3
    from training.sets.sources import read_sources_file

    recipe, folder = _recipe(experiment, config, work)
    own = () if sources is None else read_sources_file(sources)
    patches = prepare_phh3(folder / "data", recipe, own, tell).patches
    counts = {name: int((patches.labels == number).sum()) for number, name in enumerate(patches.classes)}
    tell(f"{len(patches)} candidates: " + ", ".join(f"{count} {name}" for name, count in counts.items()))


@app.command()
def train(experiment: ExperimentOption = SHIPPED, config: ConfigOption = None, work: WorkOption = None) -> None:
    """Train CNN1 and CNN2; resumes what was interrupted."""
    from training.mitosis.phh3.data import load_prepared
    from training.mitosis.phh3.train import train_phh3

    recipe, folder = _recipe(experiment, config, work)
    for weights in train_phh3(load_prepared(folder / "data"), recipe, folder):
        tell(weights)


@app.command()
def candidates(
    phh3: SlideArgument,
    out: Annotated[Path, typer.Argument(help="The table to write (CSV), for readers to label.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    mpp: MppOption = None,
) -> None:
    """List the brown candidates of a PHH3 slide, to be labelled artefact, other or mitosis."""
    from training.mitosis.phh3.annotate import write_candidates
    from training.mitosis.phh3.candidates import find_brown
    from workers.slides.opening import open_slide

    recipe, _ = _recipe(experiment, config, None)
    slide = open_slide(phh3, mpp)
    try:
        found = find_brown(slide, recipe.dab)
    finally:
        slide.close()
    written = write_candidates(found, phh3.name, out)
    tell(f"{written} candidates; {found.too_small} components were too small, {found.too_large} too large")


@app.command()
def annotate(
    phh3: SlideArgument,
    he: SlideArgument,
    out: Annotated[Path, typer.Argument(help="The table to write (CSV): mitoses on the H&E slide.")],
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    mpp: MppOption = None,
) -> None:
    """Find the mitoses of a PHH3 slide and write where they lie on the H&E slide of the same section."""
    from training.mitosis.phh3.annotate import annotate as run
    from training.mitosis.phh3.annotate import judge, write_csv
    from training.mitosis.phh3.train import load_nets
    from workers.slides.opening import open_slide

    recipe, folder = _recipe(experiment, config, work)
    nets = load_nets(folder, recipe)
    slides = [open_slide(path, mpp) for path in (phh3, he)]
    try:
        judged = judge(slides[0], nets, recipe)
        found = run(slides[0], slides[1], judged, recipe)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    finally:
        for slide in slides:
            slide.close()
    written = write_csv(found, he.name, out)
    peak = found.whole.peak
    tell(f"{len(judged.cell)} candidates, {len(found.he_px)} mitoses, {written} of them on the H&E slide")
    tell(f"global shift ({peak.x_um:g}, {peak.y_um:g}) um, confidence {peak.confidence:.1f}")
    tell(f"{int((~found.local.trusted).sum())} kept it for want of a local shift that can be trusted")
    if not written:
        tell("the table is empty: a slide without a row is not read as a training source")


@app.command()
def evaluate(
    experiment: ExperimentOption = SHIPPED,
    config: ConfigOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the chain against the truth of phantoms it never saw; report.json and pictures. Synthetic numbers."""
    from training.mitosis.phh3.data import load_prepared
    from training.mitosis.phh3.evaluate import evaluate_phh3
    from training.mitosis.phh3.pictures import draw_candidates, draw_heat

    recipe, folder = _recipe(experiment, config, work)
    report, pairs = evaluate_phh3(load_prepared(folder / "data"), recipe, folder, tell)
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    draw_candidates(pairs, recipe, pictures / "candidates.png")
    draw_heat(pairs[0].annotation.whole, recipe.registration.whole.mpp, pictures / "global-shift.png")
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
        return
    table = Table(
        "phantom",
        "mitoses",
        "candidates",
        "artefacts cut",
        "PHH3 tp/fp/fn",
        "H&E tp/fp/fn",
        "um before",
        "global",
        "local",
    )
    for pair in report.pairs:
        errors = (pair.before_um, pair.after_global_um, pair.after_local_um)
        medians = [f"{error['median']:.2f}" if error else "-" for error in errors]
        cut = f"{pair.artefacts_pruned} of {pair.by_kind['artefact']}"
        scores = ["/".join(map(str, counts)) for counts in (pair.phh3, pair.he)]
        table.add_row(pair.name, str(pair.truth), str(pair.candidates), cut, *scores, *medians)
    Console(stderr=True).print(table)
    tell(f"synthetic: F1 on PHH3 {_shown(report.f1_phh3)}, of the annotation on H&E {_shown(report.f1_he)}")


@app.command()
def readers(
    data: Annotated[Path, typer.Option("--data", help="Folder that holds mitosis_coordinates.")] = DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Show mitotic counts of real tumours and how far human readers agree: what to hold a network against."""
    from training.mitosis.phh3.readers import human_reference

    try:
        reference = human_reference(data)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(asdict(reference), indent=1))
        return
    for table in reader_tables(reference):
        Console().print(table)


def reader_tables(reference: "HumanReference") -> tuple[Table, Table]:
    """The two tables of the reference: counts by tumour, agreement by instrument."""
    counts = Table(
        "tumour",
        "regions",
        "mitoses",
        "median (quartiles)",
        "most",
        "grade 1 / 2 / 3",
        title="MIDOG++, about 2 mm2 each",
    )
    for row in reference.tumours:
        low, high = row.quartiles
        spread = f"{row.median:g} ({low:g}-{high:g})"
        grades = " / ".join(f"{count / row.regions:.0%}" for count in row.grades)
        counts.add_row(row.tumour, str(row.regions), str(row.mitoses), spread, str(row.most), grades)
    agreement = Table(
        "readers", "n", "kappa of counts", "Spearman of counts", "kappa of cells", title="Mean over pairs of readers"
    )
    for pair in reference.instruments:
        shown = [_shown(value) for value in (pair.count_kappa, pair.count_spearman, pair.cell_kappa)]
        agreement.add_row(f"DIDSR, five, {pair.instrument}", f"{pair.regions} regions, {pair.cells} cells", *shown)
    agreement.add_row("MIDOG++, first two", f"{reference.first_two.n} regions", "", "", _shown(reference.first_two))
    return counts, agreement


def _shown(value: "Estimate | Agreement | None") -> str:
    if value is None or value.value is None:
        return "-"
    interval = "" if value.low is None or value.high is None else f" ({value.low:.2f}-{value.high:.2f})"
    return f"{value.value:.2f}{interval}"


def _recipe(experiment: str, config: Path | None, work: Path | None) -> tuple[Phh3Config, Path]:
    path = recipe_file(EXPERIMENTS, experiment, config)
    return read_recipe(path, Phh3Config), work or RUNS / path.stem
