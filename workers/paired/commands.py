"""`histoserve paired`: a result against the neighbouring Ki-67 section."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.dab import BLUE_DENSITY, BROWN_DENSITY
from models.errors import RefusedInputError

if TYPE_CHECKING:
    from workers.paired.report import Paired

Option = typer.Option
SIZE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")
SMALLEST_UM, LARGEST_UM = 20.0, 10_000.0


def paired(
    result: Annotated[Path, typer.Argument(metavar="RESULT_DIR", help="The result of ki67-he on the H&E slide.")],
    ihc: Annotated[Path, typer.Argument(metavar="IHC_SLIDE", help="The Ki-67 slide of the neighbouring section.")],
    slide: Annotated[Path, Option("--slide", help="The H&E slide that the result was made from.")],
    out: Annotated[Path | None, Option("--out", help="Folder for the files; RESULT_DIR-paired if not given.")] = None,
    rois: Annotated[int, Option("--rois", min=3, max=1000, help="So many regions at most.")] = 32,
    roi_um: Annotated[
        str | None, Option("--roi-um", metavar="WxH", help="Their size; 1889x966, halved on small slides.")
    ] = None,
    seed: Annotated[int, Option("--seed", min=0, help="Which regions where there are more.")] = 0,
    brown: Annotated[
        float, Option("--brown", min=0.01, max=3, help="DAB density from which on it is brown.")
    ] = BROWN_DENSITY,
    blue: Annotated[float, Option("--blue", min=0.01, max=3, help="Hematoxylin density of blue.")] = BLUE_DENSITY,
    ihc_mpp: Annotated[
        float | None, Option("--ihc-mpp", help="um per level-0 px of the Ki-67 slide, if unstated.")
    ] = None,
    package: Annotated[str | None, Option("--package", help="The package of the result, if not installed.")] = None,
    as_json: Annotated[bool, Option("--json", help="paired.json on stdout.")] = False,
) -> None:
    """Hold D_pos, D_neg and R_pos of an H&E slide against its neighbouring Ki-67 section, region by region.

    Examples:

        histoserve run he.svs --package ki67-he --out out

        histoserve paired out ki67.svs --slide he.svs

        histoserve paired out ki67.svs --slide he.svs --rois 100 --roi-um 500x500 --json

    The sections are registered; in each region the class map is set against the brown and the blue of the Ki-67
    section; Pearson's r is over the regions. Writes paired.json, rois.csv, rois.geojson, correlation.png, pairs.png,
    overlay.png and checkerboard.png. Exit codes: 0 done, 2 refused input, 3 the sections cannot be registered or have
    too little in common, 1 anything else.
    """
    from workers.engine.progress import console_report
    from workers.paired.compare import PairedRequest, compare_sections

    folder = out or result.resolve().with_name(f"{result.resolve().name}-paired")
    request = PairedRequest(
        result=result,
        he=slide,
        ihc=ihc,
        out=folder,
        rois=rois,
        roi_um=None if roi_um is None else read_size(roi_um),
        seed=seed,
        densities=(brown, blue),
        ihc_mpp=ihc_mpp,
        package=package,
    )
    with console_report(sys.stderr) as report:
        found = compare_sections(request, report)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print(found, folder)


def read_size(text: str) -> tuple[float, float]:
    """(width, height) in um of a text such as 1889x966.

    Raises
    ------
    RefusedInputError
        It is no such text, or a side is out of bounds.
    """
    match = SIZE.fullmatch(text)
    sides = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not all(SMALLEST_UM <= side <= LARGEST_UM for side in sides):
        raise RefusedInputError(
            f"The region size {text!r:.40} is none.",
            f"Write WIDTHxHEIGHT in um, each from {SMALLEST_UM:g} to {LARGEST_UM:g}: --roi-um 500x500.",
        )
    return sides


def _print(found: "Paired", folder: Path) -> None:
    width, height = found.roi_um
    typer.echo(f"{len(found.rois)} regions of {width:.0f} x {height:.0f} um, {found.left_out} left out")
    for name, part in found.correlations.items():
        if part.r is None:
            typer.echo(f"  {name:>5}  no correlation ({part.n} regions)")
        else:
            typer.echo(f"  {name:>5}  r = {part.r:.3f} (95 %: {part.low:.3f} to {part.high:.3f}, {part.n} regions)")
    typer.echo(f"{folder / 'correlation.png'}\n{folder / 'paired.json'}\n{found.notice}")
