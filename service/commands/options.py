"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Option = typer.Option

Json = Annotated[bool, Option("--json", help="One JSON document on stdout; progress as JSON lines on stderr.")]
Model = Annotated[str | None, Option("--model", help="NAME or NAME@VERSION of a package.")]
Analysis = Annotated[str | None, Option("--analysis", help="The newest package that serves an analysis.")]
Mpp = Annotated[float | None, Option("--mpp", help="um per level-0 pixel; overrides what the slides say.")]
Stain = Annotated[str | None, Option("--stain", help="he or ihc; where it is not the package's, the job is refused.")]
Settings = Annotated[list[str] | None, Option("--set", help="NAME=VALUE: a number of the package; may be repeated.")]
Regions = Annotated[Path | None, Option("--regions", help="GeoJSON polygons in level-0 px to look at.")]
Priority = Annotated[str, Option("--priority", help="stat or routine; stat goes first.")]
Url = Annotated[str | None, Option("--url", help="The service; HISTOSERVE_URL, or that of `histoserve up`.")]
Jobs = Annotated[list[str], typer.Argument(metavar="JOB...", help="Job ids.")]
