"""`histoserve register`: one slide laid onto another."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from models.errors import RefusedInputError

if TYPE_CHECKING:
    from workers.registration.maps import Points
    from workers.registration.slides import SlideRegistration

Option = typer.Option


def register(
    fixed: Annotated[Path, typer.Argument(help="The slide whose points are mapped.")],
    moving: Annotated[Path, typer.Argument(help="The slide they are mapped to.")],
    out: Annotated[Path, Option("--out", help="Folder for the map and its pictures; made if absent.")],
    points: Annotated[
        Path | None, Option("--points", help="CSV with columns x_px, y_px: level-0 px of the fixed slide.")
    ] = None,
    mpp: Annotated[float, Option("--mpp", min=0.25, max=64.0, help="um per px to register at.")] = 4.0,
    fixed_mpp: Annotated[float | None, Option("--fixed-mpp", help="um per level-0 px, if unstated.")] = None,
    moving_mpp: Annotated[float | None, Option("--moving-mpp", help="um per level-0 px, if unstated.")] = None,
    flips: Annotated[bool, Option("--flips", help="Try the moving section mirrored too.")] = False,
    as_json: Annotated[bool, Option("--json", help="The quality as one JSON document on stdout.")] = False,
) -> None:
    """Lay a consecutive section, in any bright-field stain, onto another.

    Examples:

        histoserve register he.svs ki67.svs --out registered

        histoserve register he.svs ki67.svs --out registered --points cells.csv --json

    Writes registration.json (pose, field, quality), overlay.png, checkerboard.png and, where points are given,
    points.csv with their places on the moving slide. Exit codes: 0 done, 2 refused input, 3 the sections cannot be
    registered or the map is not trusted (the files are there, to be looked at), 1 anything else.
    """
    from workers.registration.errors import RegistrationFailedError
    from workers.registration.slides import register_slides
    from workers.slides import open_slide

    wanted = None if points is None else read_points(points)
    slides = open_slide(fixed, fixed_mpp), open_slide(moving, moving_mpp)
    try:
        found = register_slides(*slides, mpp, flips=flips)
        _write(out, found, wanted)
    finally:
        for slide in slides:
            slide.close()
    quality = found.registration.quality
    if not quality.trusted:
        raise RegistrationFailedError(f"The map is not trusted: {'; '.join(quality.reasons)}.", "Look at overlay.png.")
    _tell(quality.as_dict(), as_json=as_json)


def read_points(path: Path) -> "Points":
    """Points float64 (n, 2) of a CSV file with columns x_px and y_px.

    Raises
    ------
    RefusedInputError
        The file is absent, has other columns, or holds what is no number.
    """
    try:
        with path.open(newline="") as lines:
            rows = [(float(row["x_px"]), float(row["y_px"])) for row in csv.DictReader(lines)]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise RefusedInputError(
            f"The points cannot be read: {type(error).__name__}.", "Give a CSV file with columns x_px and y_px."
        ) from error
    found = np.array(rows, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(found).all():
        raise RefusedInputError("A point is not finite.", "Give numbers in level-0 px.")
    return found


def _write(out: Path, found: "SlideRegistration", points: "Points | None") -> None:
    from workers.outputs.files import write_whole
    from workers.registration.pictures import write_pictures
    from workers.registration.slides import read_whole

    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "registration.json", json.dumps(found.as_dict(), indent=2).encode())
    mpp = found.registration.mpp
    write_pictures(out, read_whole(found.fixed, mpp), read_whole(found.moving, mpp), found.registration)
    if points is not None:
        rows = np.column_stack([points, found.map_points(points)])
        lines = ["x_px,y_px,moving_x_px,moving_y_px", *(",".join(f"{value:.3f}" for value in row) for row in rows)]
        write_whole(out / "points.csv", ("\n".join(lines) + "\n").encode())


def _tell(quality: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(quality, indent=2))
        return
    for name, value in quality.items():
        typer.echo(f"{name:>18}  {value}")
