"""Scores as a table: one row per number, and no cell that a program of tables would execute."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

FORMULAS = "=+-@\t\r"


def render_table(values: Mapping[str, Any]) -> str:
    """CSV with a row (name, value) for every leaf of nested documents; names are joined with dots."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["name", "value"])
    writer.writerows((harmless(name), harmless(value)) for name, value in _leaves(values))
    return table.getvalue()


def harmless(text: str) -> str:
    """The text, with a quote before it where it would be taken for a formula; numbers may begin with a sign."""
    return f"'{text}" if text[:1] in FORMULAS and text and not _is_number(text) else text


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        parts = ((str(key), inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        parts = ((str(index), inner) for index, inner in enumerate(value))
    else:
        yield name, "" if value is None else str(value)
        return
    for key, inner in parts:
        yield from _leaves(inner, f"{name}.{key}" if name else key)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
