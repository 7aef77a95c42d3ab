"""`histoserve phantom`: slides with known truth, for tests, training, demos and acceptance."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from models.errors import RefusedInputError
from training.phantom.spec import PhantomSpec, Section, Stain

app = typer.Typer(
    name="phantom",
    help="Whole-slide phantoms: synthetic slides with the exact truth of every nucleus. Research use only.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
Number = TypeVar("Number", int, float)
MAKE_HELP = """Write a phantom slide, in one or several stains, and its truth.

Examples:

`histoserve phantom make he.tiff --width 20000 --height 20000 --seed 7 --tissue 0.3 --truth truth.parquet`

`histoserve phantom make case.tiff --stain he --stain ki67 --shift 40,-25 --warp 6` writes case-he.tiff and
case-ki67.tiff, the second moved against the first.

`histoserve phantom make scale.tiff --width 100000 --height 100000 --tissue 0.02` is a large slide, mostly glass.
"""
PICTURE_HELP = """Write a region of a phantom as PNG, without making the slide.

Example: `histoserve phantom picture look.png --stain ki67 --seed 7 --at 5000,5000 --size 1024,768`
"""
COMPARE_HELP = """Hold the cells or points of a run against a phantom's truth.

Example: `histoserve phantom compare out/cells.parquet truth.parquet`
"""
JUDGE_HELP = """Hold the result of an analysis against a phantom's truth: what `histoserve acceptance` compares.

Example: `histoserve phantom judge out truth.parquet --analysis ki67-he`
"""
StainOption = Annotated[
    list[str], typer.Option("--stain", help="he, ki67, phh3, hematoxylin, dapi, lap2, marker, mask.")
]
Setting = Annotated[
    list[str], typer.Option("--set", help="Any other field of the spec, as name=value: --set ki67=0.4.")
]


@app.callback()
def _group() -> None:
    """Keep `make` a command of its own."""


@app.command("make", help=MAKE_HELP)
def make(
    out: Annotated[Path, typer.Argument(help="The slide; with several stains, their name before `-<stain>`.")],
    *,
    stain: StainOption = ["he"],  # noqa: B006
    width: Annotated[int, typer.Option(help="Width in level-0 px.")] = 8192,
    height: Annotated[int, typer.Option(help="Height in level-0 px.")] = 8192,
    seed: Annotated[int, typer.Option(help="Which phantom.")] = 0,
    tissue: Annotated[float, typer.Option(help="Part of the slide that is tissue.")] = 0.6,
    mpp: Annotated[float, typer.Option(help="um per level-0 px.")] = 0.25,
    truth: Annotated[Path | None, typer.Option(help="Parquet of every nucleus.")] = None,
    shift: Annotated[str, typer.Option(help="X,Y in um: how further stains are moved against the first.")] = "0,0",
    turn: Annotated[float, typer.Option(help="Turn of further stains, degrees.")] = 0.0,
    warp: Annotated[float, typer.Option(help="Smooth warp of further stains, um.")] = 0.0,
    settings: Setting = [],  # noqa: B006
    processes: Annotated[int, typer.Option(help="Processes to render with; 0 is one a core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write a phantom."""
    from training.phantom.write import write_phantom

    stains = _stains(stain)
    dx, dy = _pair(shift, float)
    moved = tuple(Section(s, dx, dy, turn, warp) for s in stains[1:]) if (dx or dy or turn or warp) else ()
    spec = PhantomSpec(seed=seed, width_px=width, height_px=height, mpp=mpp, tissue=tissue, sections=moved)
    spec = _with_settings(spec, settings)
    slides = _paths(out, stains)
    with _progress_bar(out.name) as advance:
        summary = write_phantom(spec, slides, truth, processes or os.cpu_count() or 1, advance)
    out.with_suffix(".json").write_text(json.dumps(summary, indent=2) + "\n")
    _tell(summary, list(slides.values()), as_json)


@app.command("picture", help=PICTURE_HELP)
def picture(
    out: Annotated[Path, typer.Argument(help="The PNG to write.")],
    *,
    stain: Annotated[str, typer.Option(help="One stain.")] = "he",
    seed: Annotated[int, typer.Option(help="Which phantom.")] = 0,
    at: Annotated[str, typer.Option(help="X,Y of the region in level-0 px.")] = "3584,3584",
    size: Annotated[str, typer.Option(help="WIDTH,HEIGHT of the region.")] = "1024,1024",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Write a picture."""
    import imagecodecs

    from training.phantom.render import render_region
    from workers.geometry import Box

    spec = _with_settings(PhantomSpec(seed=seed, width_px=8192, height_px=8192), settings)
    (x, y), (width, height) = _pair(at, int), _pair(size, int)
    pixels = render_region(spec, _stains([stain])[0], Box(x, y, width, height))
    out.write_bytes(imagecodecs.png_encode(pixels))


def _stains(names: list[str]) -> tuple[Stain, ...]:
    known: tuple[Stain, ...] = get_args(Stain)
    for name in names:
        if name not in known:
            raise RefusedInputError(f"There is no stain {name!r}.", f"Give one of {', '.join(known)}.")
    return tuple(s for name in dict.fromkeys(names) for s in known if s == name)


def _paths(out: Path, stains: tuple[Stain, ...]) -> dict[Stain, Path]:
    if not out.parent.is_dir():
        raise RefusedInputError(f"There is no folder {out.parent}.", "Make it first.")
    if len(stains) == 1:
        return {stains[0]: out}
    return {stain: out.with_name(f"{out.stem}-{stain}{out.suffix or '.tiff'}") for stain in stains}


def _pair(text: str, kind: type[Number]) -> tuple[Number, Number]:
    try:
        first, second = (kind(part) for part in text.split(","))
    except ValueError as error:
        raise RefusedInputError(f"{text!r} is not a pair.", "Give two numbers, as 40,-25.") from error
    return first, second


def _with_settings(spec: PhantomSpec, settings: list[str]) -> PhantomSpec:
    values: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        current = getattr(spec, name, None)
        if not isinstance(current, bool | int | float | str) or not value:
            raise RefusedInputError(f"{setting!r} sets no field of a phantom.", "Give name=value, as ki67=0.4.")
        values[name] = _parsed(setting, value, type(current))
    return replace(spec, **values)


def _parsed(setting: str, value: str, kind: type[Any]) -> Any:  # noqa: ANN401 (a field's own type)
    if kind is bool:
        return value.lower() in ("1", "true", "yes")
    try:
        return kind(value)
    except ValueError as error:
        raise RefusedInputError(f"{setting!r} is no {kind.__name__}.", "Give name=value, as ki67=0.4.") from error


@contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command("compare", help=COMPARE_HELP)
def compare(
    found: Annotated[Path, typer.Argument(help="cells.parquet or points.parquet of a run.")],
    truth: Annotated[Path, typer.Argument(help="The phantom's truth.")],
    match_um: Annotated[float, typer.Option(help="Farthest a centroid may lie from its nucleus.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Hold what was found against the truth."""
    from training.phantom.compare import compare_tables

    for path in (found, truth):
        if not path.is_file():
            raise RefusedInputError(f"There is no file {path}.", "Give the tables of a run and of its phantom.")
    agreement = compare_tables(found, truth, match_um)
    if as_json:
        typer.echo(json.dumps(agreement.as_dict()))
        return
    typer.echo(
        f"found {agreement.found}, true {agreement.true}: precision {agreement.precision:.3f}, "
        f"recall {agreement.recall:.3f}, F1 {agreement.f1:.3f} (synthetic slide, matched within {match_um:g} um)"
    )


@app.command("judge", help=JUDGE_HELP)
def judge(
    result: Annotated[Path, typer.Argument(help="The folder of a result.")],
    truth: Annotated[Path, typer.Argument(help="The phantom's truth.")],
    analysis: Annotated[str, typer.Option(help="ki67-he, virtual-ihc, deepliif, mitosis or nuclei.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Hold a result against the truth."""
    from training.phantom.judge import judge_result

    for path in (result / "result.json", truth):
        if not path.is_file():
            raise RefusedInputError(f"There is no file {path}.", "Give the folder of a result and its phantom's truth.")
    numbers = judge_result(result, truth, analysis)
    if as_json:
        typer.echo(json.dumps([number.as_dict() for number in numbers]))
        return
    for number in numbers:
        typer.echo(f"{number.name}: {number.value:.4f} (found {number.found}, true {number.true}, of {number.n})")


def _tell(summary: dict[str, Any], slides: list[Path], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
        return
    truth = summary["truth"]
    typer.echo(
        f"{', '.join(str(p) for p in slides)}: {truth['nuclei']} nuclei, {truth['mitoses']} mitoses, "
        f"Ki-67 index {truth['ki67_index'] or 0:.3f}, {summary['seconds']} s"
    )
