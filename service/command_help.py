"""The help of a command, read from its source: to import the commands only to list them would take seconds."""

import ast
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path


def read_help(entry: EntryPoint) -> str | None:
    """The docstring of the entry point's function, or the `help` its `typer.Typer` is made with; nothing is imported.

    None where there is no such source here, or no such name in it.
    """
    path = _source_of(entry.module)
    if path is None:
        return None
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return ast.get_docstring(node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _assigns(node, entry.attr):
            return _help_among(node.value.keywords)
    return None


def _source_of(module: str) -> Path | None:
    """The file of a module. Only the outermost package is looked up: to look up the inner ones would import them."""
    package, *inner = module.split(".")
    found = find_spec(package)
    places = (found.submodule_search_locations if found else None) or []
    paths = [Path(place, *inner).with_suffix(".py") for place in places]
    return next((path for path in paths if path.is_file()), None)


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _help_among(keywords: list[ast.keyword]) -> str | None:
    for keyword in keywords:
        if keyword.arg == "help" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None
