"""Options files of a DeepLIIF model folder, read as text with literals in it and never evaluated."""

import ast
import re
import warnings
from pathlib import Path

from models.errors import PackageInvalidError

FILES = ("test_opt.txt", "train_opt.txt")
"""The first that is there is read."""
FILE_LIMIT_BYTES, VALUE_LIMIT = 65_536, 2_048
DEFAULT = re.compile(r"\s*\[default\b.*\]\s*$")

Options = dict[str, object]
"""Values by key: numbers, strings, booleans, None, and lists, tuples or dicts of them."""


def read_options(folder: Path) -> Options:
    """The options of a model folder.

    Raises
    ------
    PackageInvalidError
        There is no options file, or one too large to be one.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise PackageInvalidError(
            f"{folder.name} holds neither {' nor '.join(FILES)}.", "Give the folder of a DeepLIIF model."
        )
    if path.stat().st_size > FILE_LIMIT_BYTES:
        raise PackageInvalidError(f"{path.name} has {path.stat().st_size} bytes, more than {FILE_LIMIT_BYTES}.")
    return parse_options(path.read_text("utf-8", errors="replace"))


def parse_options(text: str) -> Options:
    """Values by key of lines `key: value`; a trailing `[default ...]` is dropped, other lines are ignored.

    DeepLIIF evaluates values as Python. Here a value is a literal or it stays text: a line that is code does nothing.
    """
    options: Options = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip():
            options[key.strip()] = parse_value(DEFAULT.sub("", value).strip())
    return options


def parse_value(text: str) -> object:
    """The literal that the text is, or the text."""
    if len(text) > VALUE_LIMIT:
        return text
    with warnings.catch_warnings():
        # Odd escapes in a string are none of our business.
        warnings.simplefilter("ignore")
        try:
            value: object = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text
    return value
