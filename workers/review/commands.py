"""`histoserve verify` and `histoserve diff`: is a result what was written, and why do two differ."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workers.review.differences import Comparison, Difference
    from workers.review.verify import Review

Option = typer.Option
Json = Annotated[bool, Option("--json", help="One JSON document on stdout.")]
LONGEST = 48
"""Of a value in a table, in characters."""


def verify(
    result: Annotated[Path, typer.Argument(metavar="RESULT_DIR", help="The folder of a result, or its result.json.")],
    slide: Annotated[Path | None, Option("--slide", help="The slide, to compare its digest too.")] = None,
    package: Annotated[
        str | None, Option("--package", help="The package to compare with; the installed one if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that a result is what was written: its schema, every file's size and SHA-256, and nothing beside them.

    Examples:

        histoserve verify out

        histoserve verify out --slide slide.svs --json

    A package or slide that is not at hand is told as not compared. Exit codes: 0 nothing is wrong, 1 something is,
    2 there is no finished result.
    """
    from workers.review.verify import verify_result

    review = verify_result(result, slide, package)
    if as_json:
        typer.echo(json.dumps(review.as_dict(), indent=2))
    else:
        _print_review(review)
    if not review.passed:
        raise typer.Exit(1)


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The folder of a result, or its result.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    as_json: Json = False,
) -> None:
    """Say why two results differ: slide, package, code, provider, configuration; then the scores side by side.

    Examples:

        histoserve diff out-before out-after

        histoserve diff monday tuesday --json

    Seconds, paths, readers and threads do not count. Where tables and maps lie in both folders, how far they differ is
    told too. Exit codes: 0 the same, 1 different, 2 one of them is no result.
    """
    from workers.review.contents import compare_contents
    from workers.review.differences import compare_results
    from workers.review.read import read_result, result_folder

    found = compare_results(read_result(a), read_result(b))
    folders = result_folder(a), result_folder(b)
    changes = {item.name: compare_contents(*folders, item.name) for item in found.of("files") if item.a and item.b}
    texts = {name: change.text() for name, change in changes.items() if change is not None}
    if as_json:
        typer.echo(json.dumps(found.as_dict() | {"contents": texts}, indent=2))
    else:
        _print_comparison(found, texts)
    if found.verdict != "same":
        raise typer.Exit(1)


def _print_review(review: "Review") -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for check in review.checks:
        if check.status != "passed":
            colour, word = ("red", "failed") if check.status == "failed" else ("yellow", "not compared")
            console.print(f"[{colour}]{word}[/] {check.subject}: ", end="")
            console.print(f"{check.detail} {check.remedy}", markup=False)
    counts = {kind: sum(c.subject == kind for c in review.checks) for kind in ("file", "folder")}
    held = f"files: {counts['file']}, folders: {counts['folder']}, {review.size_bytes / 1e6:.1f} MB"
    if review.passed:
        console.print(f"[green]as written[/]: {held}. SHA-256 of result.json: {review.result_sha256}")
    else:
        console.print(f"[red]not as written[/]: {len(review.failures)} of {len(review.checks)} checks failed ({held}).")


WORDS = {
    "same": "The results are the same.",
    "same-outcome": "The scores and files are the same; what made them is not.",
    "different": "The results differ.",
}
NO_CAUSE = (
    "Nothing that was chosen differs: same slide, package, code, provider and configuration. Such runs give the same "
    "bytes, so one of the results was changed (`histoserve verify` says which), or a machine computes otherwise."
)


def _print_comparison(found: "Comparison", texts: dict[str, str]) -> None:
    from rich.console import Console

    from workers.review.differences import CAUSES

    console = Console(highlight=False)
    if found.unexplained:
        console.print(NO_CAUSE, soft_wrap=True)
    _print_table(console, "why", found.of(*CAUSES))
    _print_table(console, "on the way", found.of("plan", "quality"))
    for side in ("a", "b"):
        for item in found.of("warnings"):
            if getattr(item, side) is not None:
                console.print(f"warning only in {side.upper()}: {item.name}: {getattr(item, side)}", markup=False)
    _print_table(console, "scores", found.of("scores"))
    if found.of("scores"):
        console.print(f"{found.equal_scores} other scores are the same.")
    for item in found.of("files"):
        where = "only in B" if item.a is None else "only in A" if item.b is None else "differs"
        console.print(f"{item.name}: {where}" + (f"; {texts[item.name]}" if item.name in texts else ""), markup=False)
    console.print(f"[bold]{WORDS[found.verdict]}[/]")


def _print_table(console: Any, title: str, items: "tuple[Difference, ...]") -> None:  # noqa: ANN401
    from rich.markup import escape
    from rich.table import Table

    if not items:
        return
    table = Table(title=title, title_justify="left")
    for column in ("", "A", "B", "B - A"):
        table.add_column(column, overflow="fold")
    for item in items:
        name = item.name if item.section == "scores" else f"{item.section} {item.name}"
        change = "" if item.change is None else f"{item.change:+.4g}"
        table.add_row(escape(name), escape(_short(item.a)), escape(_short(item.b)), change)
    console.print(table)


def _short(value: object) -> str:
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
