"""`histoserve gc`: sweep up, and check."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from models.errors import IntegrityError


def gc(
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every file of every result with its digest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Remove what no job or slide needs any more; with --verify, check that results are what was written.

    Examples:

        histoserve gc --dry-run

        histoserve gc --verify --json

    A file that was altered or is missing ends it with exit code 1, after all files were looked at.
    """
    from workers.contract.settings import Settings
    from workers.contract.store import open_store
    from workers.ledger import open_ledger
    from workers.upkeep.sweep import Damage, find_damage, find_litter
    from workers.wake.reconcile import sweep_scratch

    settings = Settings()
    ledger, store = open_ledger(settings.database), open_store(settings)
    try:
        litter = find_litter(ledger, store)
        if not dry_run:
            for prefix in litter:
                store.remove(prefix)
            sweep_scratch(ledger, settings)
        checked, damaged = 0, list[Damage]()
        with Progress(SpinnerColumn(), TextColumn("{task.description}"), console=Console(stderr=True)) as progress:
            task = progress.add_task("checking")
            for found in find_damage(ledger, store) if verify else ():
                checked += 1
                damaged += [] if found is None else [found]
                progress.update(task, description=f"{checked} files checked, {len(damaged)} damaged")
    finally:
        ledger.close()
    document = {"removed": [] if dry_run else litter, "would_remove": litter if dry_run else [], "checked": checked}
    _tell(document | {"damaged": [asdict(item) for item in damaged]}, as_json=as_json)
    if damaged and not as_json:
        first = damaged[0]
        raise IntegrityError(
            f"{len(damaged)} of {checked} files are damaged; {first.path} of {first.job_id} is {first.what}.",
            "Run these jobs again; keep the damaged files if you want to know why.",
        )
    if damaged:
        sys.exit(1)


def _tell(document: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document))
        return
    for name in ("removed", "would_remove"):
        for prefix in document[name]:  # type: ignore[attr-defined]
            typer.echo(f"{name.replace('_', ' ')}: {prefix}")
    typer.echo(f"{document['checked']} files checked, {len(document['damaged'])} damaged")  # type: ignore[arg-type]
