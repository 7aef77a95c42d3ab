"""A result read back from its folder."""

from pathlib import Path

from pydantic import ValidationError

from workers.result import RESULT_NAME, STATE_FOLDER, Result
from workers.review.errors import ResultUnreadableError

LIMIT_BYTES = 100_000_000


def result_folder(path: Path) -> Path:
    """The folder of a result, given as itself or as its `result.json`.

    Raises
    ------
    ResultUnreadableError
        There is no finished result.
    """
    folder = path.parent if path.name == RESULT_NAME else path
    if (folder / RESULT_NAME).is_file():
        return folder
    if (folder / STATE_FOLDER).is_dir():
        raise ResultUnreadableError(
            f"The run in {folder} was not finished: it has no {RESULT_NAME} yet.",
            "Start it again with the same arguments; it goes on where it was.",
        )
    raise ResultUnreadableError(
        f"{folder} holds no {RESULT_NAME}.", "Give the folder that `histoserve run --out` or `download` wrote."
    )


def read_result(path: Path) -> Result:
    """The result in a folder, its schema checked.

    Raises
    ------
    ResultUnreadableError
        There is none, or `result.json` is none of the schema we know.
    """
    folder = result_folder(path)
    try:
        return parse_result(folder)
    except ValueError as error:
        raise ResultUnreadableError(
            f"{folder / RESULT_NAME}: {error}", "Look at it with `histoserve verify`, or run the slide again."
        ) from error


def parse_result(folder: Path) -> Result:
    """The result in `folder`.

    Raises
    ------
    ValueError
        `result.json` is too large, or not of the schema; the message names the first place.
    """
    path = folder / RESULT_NAME
    if path.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes, more than {LIMIT_BYTES}")
    try:
        # Strict: the published schema does not take "5" for 5 either.
        return Result.model_validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise ValueError(f"{place}: {first['msg']}{more}") from error
