"""`histoserve keys`: API keys in the service's own database, for who runs the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table

from models.errors import RefusedInputError
from service.commands.options import Json, Option
from service.commands.showing import console_for_tables, print_json

if TYPE_CHECKING:
    from workers.ledger import Ledger
    from workers.ledger.keys import ApiKey, Scope

app = typer.Typer(help="API keys, on the machine of the service.", no_args_is_help=True)

UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 604800.0}

Home = Annotated[Path | None, Option("--home", help="The service's folder; HISTOSERVE_HOME, or ~/.histoserve.")]
Expires = Annotated[str | None, Option("--expires", help="After how long it is of no use: 12h, 90d, 52w.")]


class DurationInvalidError(RefusedInputError):
    """A length of time is none."""

    slug = "duration-invalid"
    title = "This is no length of time"


class ScopeUnknownError(RefusedInputError):
    """There is no such scope, or none was named."""

    slug = "scope-unknown"
    title = "There is no such scope"


@app.command("create")
def create(
    tenant: Annotated[str, Option("--tenant", help="Whose slides and jobs it opens.")],
    name: Annotated[str, Option("--name", help="What it is for, to be found again.")],
    scopes: Annotated[
        list[str] | None, Option("--scope", help="read, write, admin; may be repeated. read and write if none.")
    ] = None,
    expires: Expires = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once; only its digest is kept.

    Examples:

        histoserve keys create --tenant lab --name lis

        histoserve keys create --tenant lab --name viewer --scope read --expires 90d --json
    """
    from workers.ledger.keys import create_key

    wanted, expires_s = _scopes(scopes), None if expires is None else read_span(expires)
    _check_text(tenant, 64, "--tenant")
    _check_text(name, 128, "--name")
    with _open(home) as ledger, ledger.write() as connection:
        key, text = create_key(connection, tenant, name, wanted, expires_s)
        _audit(connection, "key.create", key)
    _tell_new(key, text, as_json=as_json)


@app.command("list")
def list_all(
    tenant: Annotated[str | None, Option("--tenant", help="Of one tenant alone.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show all keys, without what opens anything.

    Example:

        histoserve keys list --tenant lab
    """
    from workers.ledger.keys import list_keys

    with _open(home) as ledger, ledger.read() as connection:
        keys = list_keys(connection, tenant)
    if as_json:
        print_json({"keys": [_describe(key) for key in keys]})
        return
    table = Table(show_edge=False)
    for column in ("key", "tenant", "name", "scopes", "made", "expires", "revoked"):
        table.add_column(column, overflow="fold", no_wrap=column == "key")
    for key in keys:
        times = (_time(key.created_at), _time(key.expires_at), _time(key.revoked_at))
        table.add_row(key.id, key.tenant, key.name, " ".join(key.scopes), *(time or "" for time in times))
    console_for_tables().print(table)


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(metavar="KEY")], home: Home = None, as_json: Json = False) -> None:
    """Make a key open nothing from now on.

    Example:

        histoserve keys revoke key_abcdefgh
    """
    from workers.ledger.keys import revoke_key

    with _open(home) as ledger, ledger.write() as connection:
        key = revoke_key(connection, key_id)
        _audit(connection, "key.revoke", key)
    if as_json:
        print_json(_describe(key))
    else:
        typer.echo(f"{key.id} ({key.name} of {key.tenant}) opens nothing any more.")


@app.command("rotate")
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="KEY")],
    expires: Expires = None,
    keep: Annotated[bool, Option("--keep", help="Leave the old one until `keys revoke`.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key like another, for as long again, and revoke that one.

    Examples:

        histoserve keys rotate key_abcdefgh

        histoserve keys rotate key_abcdefgh --keep --expires 52w
    """
    from workers.contract.errors import GoneError, UnknownError
    from workers.ledger.keys import create_key, list_keys, revoke_key

    expires_s = None if expires is None else read_span(expires)
    with _open(home) as ledger, ledger.write() as connection:
        old = next((key for key in list_keys(connection) if key.id == key_id), None)
        if old is None:
            raise UnknownError(f"There is no key {key_id}.", "`histoserve keys list` shows them.")
        if old.revoked_at is not None:
            raise GoneError(f"The key {key_id} was revoked.", "Make a new one with `histoserve keys create`.")
        if expires_s is None and old.expires_at is not None:
            expires_s = old.expires_at - old.created_at
        key, text = create_key(connection, old.tenant, old.name, old.scopes, expires_s)
        _audit(connection, "key.create", key, rotated=old.id)
        if not keep:
            _audit(connection, "key.revoke", revoke_key(connection, old.id))
    _tell_new(key, text, as_json=as_json)


def read_span(text: str) -> float:
    """The seconds of `12h`, `90d` or `52w`. Raises `DurationInvalidError`."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS_S or not number.isdecimal() or not 0 < int(number) <= 100_000:
        raise DurationInvalidError(f"{text!r:.40} is no length of time.", "Write it as 12h, 90d or 52w.")
    return int(number) * UNITS_S[unit]


@contextmanager
def _open(home: Path | None) -> Iterator["Ledger"]:
    """The database that the service uses, at this version's schema."""
    from workers.contract.settings import Settings
    from workers.ledger import migrate, open_ledger

    settings = Settings() if home is None else Settings(home=home)
    if settings.database_url is None:
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    migrate(settings.database)
    ledger = open_ledger(settings.database)
    try:
        yield ledger
    finally:
        ledger.close()


def _scopes(named: list[str] | None) -> tuple["Scope", ...]:
    from workers.ledger.keys import Scope

    known: tuple[Scope, ...] = get_args(Scope)
    wanted = named or ["read", "write"]
    for name in wanted:
        if name not in known:
            raise ScopeUnknownError(f"{name!r:.40} is no scope.", f"Scopes are {', '.join(known)}.")
    return tuple(scope for scope in known if scope in wanted)


def _check_text(text: str, most: int, option: str) -> None:
    if not text.strip() or len(text) > most or not text.isprintable():
        raise RefusedInputError(f"{option} has to be 1 to {most} printable characters.")


def _audit(connection: Any, action: str, key: "ApiKey", **detail: str) -> None:
    from workers.ledger.audit import Entry, add_entries

    # Outcome 0 and no key: it was done on the machine itself.
    add_entries(connection, [Entry(key.tenant, None, action, key.id, 0, dict(detail))])


def _describe(key: "ApiKey") -> dict[str, Any]:
    times = {name: _time(getattr(key, name)) for name in ("created_at", "expires_at", "revoked_at")}
    return asdict(key) | {"scopes": list(key.scopes)} | times


def _time(seconds: float | None) -> str | None:
    return (
        None
        if seconds is None
        else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


def _tell_new(key: "ApiKey", text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_describe(key) | {"key": text})
        return
    # The key alone on stdout, for `$(histoserve keys create ...)`.
    typer.echo(f"{key.id}: {key.name} of {key.tenant}, {' '.join(key.scopes)}. It is shown this once.", err=True)
    typer.echo(text)
