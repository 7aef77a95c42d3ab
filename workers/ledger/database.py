"""The database: one engine, transactions for reading and for writing, and the database's own clock.

SQLite and PostgreSQL through the same code. On SQLite a writing transaction takes the write lock at once
(`BEGIN IMMEDIATE`), so that what it reads stays true until it commits; on PostgreSQL rows are locked where it matters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from workers.contract.errors import LedgerAwayError, TextInvalidError

BUSY_MS = 30_000
MIGRATIONS = Path(__file__).with_name("migrations")


class now(FunctionElement[float]):  # noqa: N801 - it reads as the SQL function it is
    """Seconds since 1970 on the database's clock, the only clock that leases are measured with."""

    type = sa.Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    return "(extract(epoch from clock_timestamp())::double precision)"


@dataclass(frozen=True, eq=False)
class Ledger:
    """An open database."""

    engine: sa.Engine

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with _told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes; committed, and on the disk, when the block ends well."""
        with _told(), self.engine.connect().execution_options(histoserve_write=True) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_ledger(url: str) -> Ledger:
    """The ledger at a SQLAlchemy URL; nothing is connected until it is used."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Ledger(_sqlite_engine(parsed))
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return Ledger(sa.create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=44))


def clock(connection: sa.Connection) -> float:
    """The database's time, seconds since 1970."""
    return float(connection.execute(sa.select(now())).scalar_one())


def migrate(url: str) -> None:
    """Bring the database at `url` to this version's schema; doing it twice changes nothing."""
    from alembic import command

    command.upgrade(_alembic_config(url), "head")


def schema_version(url: str) -> str | None:
    """The revision the database is at; None for an empty one."""
    ledger = open_ledger(url)
    try:
        with ledger.read() as connection:
            return applied_version(connection)
    finally:
        ledger.close()


def applied_version(connection: sa.Connection) -> str | None:
    """As `schema_version`, of an open connection."""
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def newest_version() -> str | None:
    """The revision this code wants."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(_alembic_config("sqlite://")).get_current_head()


def _alembic_config(url: str) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # As many as the service has threads: a connection that is opened for one request costs more than the request.
    engine = sa.create_engine(url, pool_size=64, max_overflow=64, connect_args={"check_same_thread": False})
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, record: Any) -> None:
    # The driver's own idea of when to begin is switched off: `_begin_sqlite` says it.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("histoserve_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _told() -> Iterator[None]:
    """A database that is away is told as our own error, with what to do."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise LedgerAwayError("The database does not answer.", "Try again in a moment.") from error
    except DataError as error:
        raise TextInvalidError("A text holds what no text may (a NUL character).", "Leave it out.") from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise LedgerAwayError("The connection to the database was lost.", "Try again in a moment.") from error
