"""What is to be submitted: slides from the command line, or rows of a table, each checked before anything is sent."""

import csv
import glob
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import RefusedInputError
from service.wire import Identifier, OrderIds, Priority, Sha256, Stain

SUFFIXES = frozenset({".svs", ".ndpi", ".tif", ".tiff", ".scn", ".bif", ".svslide", ".png", ".jpg", ".jpeg"})
"""What is taken from a folder; a file that is named is taken whatever it is called."""


class TableInvalidError(RefusedInputError):
    """The table of slides cannot be read, or a row of it says what we do not know."""

    slug = "table-invalid"
    title = "The table of slides is not valid"


class Row(BaseModel):
    """A slide and what is to be done with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = None
    uri: str | None = None
    model: str | None = None
    analysis: str | None = None
    mpp: Annotated[float | None, Field(gt=0, le=100)] = None
    stain: Stain | None = None
    sha256: Sha256 | None = None
    priority: Priority = "routine"
    due_at: datetime | None = None
    parameters: dict[str, Any] = {}
    regions: Path | None = None
    accession: Identifier | None = None
    placer_order: Identifier | None = None
    filler_order: Identifier | None = None
    specimen: Identifier | None = None
    block: Identifier | None = None
    slide: Identifier | None = None
    external_id: Identifier | None = None

    @property
    def source(self) -> str:
        """Where the slide is."""
        return str(self.path or self.uri)

    @property
    def ids(self) -> OrderIds:
        """The caller's identifiers."""
        return OrderIds(**{name: getattr(self, name) for name in OrderIds.model_fields})


def rows_of_slides(slides: Sequence[str], common: Mapping[str, Any]) -> list[Row]:
    """A row for each file that was named: files, patterns such as `*.svs`, folders, and `file:` or `s3:` URIs.

    Raises
    ------
    RefusedInputError
        Something that was named leads to no file.
    """
    found: dict[str, Row] = {}
    for named in slides:
        if named.startswith(("file:", "s3:")):
            found[named] = _row({"uri": named}, common, named)
            continue
        for path in _expand(named):
            found[str(path)] = _row({"path": path}, common, str(path))
    return list(found.values())


def rows_of_table(path: Path, common: Mapping[str, Any]) -> list[Row]:
    """The rows of a CSV file with a header, or of a JSON list of objects; `common` is what a row leaves empty.

    Paths in it are relative to the folder of the table.

    Raises
    ------
    TableInvalidError
        It is neither, has no rows, or a row is not valid; the row's number is told.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        documents = json.loads(text) if path.suffix.lower() == ".json" else _read_csv(text)
    except (OSError, ValueError, csv.Error) as error:
        raise TableInvalidError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(documents, list) or not documents or not all(isinstance(d, dict) for d in documents):
        raise TableInvalidError(f"{path.name} has no rows.", "Give CSV with a header, or a JSON list of objects.")
    rows = []
    for number, document in enumerate(documents, start=1):
        given = {name: value for name, value in document.items() if value not in (None, "")}
        for name in {"path", "regions"} & given.keys():
            given[name] = path.absolute().parent / str(given[name])
        rows.append(_row(given, common, f"{path.name}, row {number}"))
    return rows


def _expand(named: str) -> list[Path]:
    path = Path(named)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")
    elif path.exists() or not glob.has_magic(named):
        # A file that is not there is refused when its turn comes: it does not end the rest.
        return [path]
    else:
        found = sorted(Path(p) for p in glob.glob(named, recursive=True) if Path(p).is_file())
    if not found:
        raise RefusedInputError(
            f"{named} holds no slide.", f"In a folder these are looked for: {' '.join(sorted(SUFFIXES))}"
        )
    return found


def _read_csv(text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    rows: list[dict[str, Any]] = []
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"line {reader.line_num} has not as many cells as the header")
        given: dict[str, Any] = {name.strip(): cell.strip() for name, cell in row.items()}
        if given.get("parameters"):
            given["parameters"] = json.loads(given["parameters"])
        if any(given.values()):
            rows.append(given)
    return rows


def _row(given: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Row:
    named = {"model", "analysis"} & given.keys()
    fallback = {name: value for name, value in common.items() if not (named and name in ("model", "analysis"))}
    document = {name: value for name, value in fallback.items() if value is not None} | dict(given)
    try:
        row = Row.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"there is no column {place!r}" if first["type"] == "extra_forbidden" else f"{place}: {first['msg']}"
        raise TableInvalidError(f"{where}: {what}.", f"Columns are {', '.join(Row.model_fields)}.") from error
    if (row.path is None) == (row.uri is None):
        raise TableInvalidError(f"{where}: give either path or uri.")
    if (row.model is None) == (row.analysis is None):
        raise TableInvalidError(
            f"{where}: give either a model or an analysis.", "`histoserve models list` shows what there is."
        )
    return row
