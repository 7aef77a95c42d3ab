"""The worker's supervisor: it keeps listeners running, looks for lost work, and ends all of it in good order."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from models.errors import GoldenMismatchError, HistoserveError, PackageTamperedError
from workers.contract.children import Command, Kept, end_kept, keep_running, own_python
from workers.contract.doorbell import open_doorbell
from workers.contract.errors import LedgerAwayError
from workers.contract.settings import Settings
from workers.daemon.check import Ability
from workers.ledger import Ledger, newest_version, open_ledger, schema_version
from workers.ledger.audit import Entry, add_entries
from workers.ledger.seats import Seat, keep_seat, leave_seat, take_seat
from workers.wake.reconcile import reconcile_once, sweep_scratch

GRACE_S = 30.0
"""How long answers have to come to the end of a tile and release their bands."""
LEDGER_WAIT_S = 60.0
ALTERED = (PackageTamperedError.slug, GoldenMismatchError.slug)
SWEEP_S = 600.0


class LedgerOldError(HistoserveError):
    """The database's schema is not the one this version works with."""

    slug = "ledger-old"
    title = "The database is of another version"


def check_ledger(url: str, stop: threading.Event, wait_s: float = LEDGER_WAIT_S) -> None:
    """Return where the database is there and has this version's schema; it may be a moment late.

    Raises
    ------
    LedgerAwayError
        It did not answer for `wait_s`.
    LedgerOldError
        It has another schema.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            found = schema_version(url)
            break
        except LedgerAwayError as error:
            if stop.is_set() or time.monotonic() > deadline:
                raise
            structlog.get_logger().warning("database is away", reason=error.detail)
            stop.wait(1.0)
    wanted = newest_version()
    if found != wanted:
        raise LedgerOldError(
            f"The database is at revision {found or 'none'}; this version works with {wanted}.",
            "`histoserve serve` and `histoserve up` bring it there; start one of them first.",
        )


def new_seat(settings: Settings, slots: int, ability: Ability) -> Seat:
    """How this worker is known to the service."""
    host = socket.gethostname()
    return Seat(
        name=f"{host}-{uuid4().hex[:8]}",
        host=host,
        slots=slots,
        provider=", ".join(ability.providers) or settings.provider,
        code_version=version("histoserve"),
        packages=ability.packages,
    )


def tell_refused(settings: Settings, ability: Ability) -> None:
    """Tell of the packages that are not used: in the log, and in the audit where one is not what it was.

    Raises
    ------
    LedgerAwayError
        The audit cannot be written.
    """
    for problem in ability.refused:
        structlog.get_logger().warning("package is not used", package=problem["package"], reason=problem["detail"])
    altered = [problem for problem in ability.refused if problem["type"].rsplit(":", 1)[-1] in ALTERED]
    if not altered:
        return
    host = socket.gethostname()
    ledger = open_ledger(settings.database)
    try:
        with ledger.write() as connection:
            add_entries(
                connection,
                [
                    Entry(None, None, "package.refused", problem["package"], 0, {"host": host, **problem})
                    for problem in altered
                ],
            )
    finally:
        ledger.close()


def supervise(settings: Settings, seat: Seat, stop: threading.Event, env: dict[str, str]) -> None:
    """Keep the seat's listeners running until `stop`, then end them, their bands released."""
    listeners = [listener(number, env) for number in range(seat.slots)]
    log = structlog.get_logger()
    log.info("worker starts", seat=seat.name, slots=seat.slots, provider=seat.provider, packages=sorted(seat.packages))
    with _reconciling(settings, seat):
        try:
            keep_running(listeners, stop)
        finally:
            log.info("worker stops", seat=seat.name)
            end_kept(listeners, GRACE_S)


def listener(number: int, env: dict[str, str]) -> Kept:
    """One slot's process."""
    return Kept(Command(f"listener-{number}", [*own_python(), "-m", "workers.daemon.listen"], env))


@contextmanager
def _reconciling(settings: Settings, seat: Seat) -> Iterator[None]:
    """Look for lost work in a thread for as long as the block lasts."""
    ledger, done = open_ledger(settings.database), threading.Event()
    thread = threading.Thread(target=_reconcile, args=(ledger, settings, seat, done), name="reconciler")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        ledger.close()


def _reconcile(ledger: Ledger, settings: Settings, seat: Seat, done: threading.Event) -> None:
    doorbell = open_doorbell(settings)
    log, swept_at = structlog.get_logger(), float("-inf")
    while True:
        try:
            stay_seated(ledger, seat)
            rung = reconcile_once(ledger, doorbell, settings)
            if rung:
                log.info("rang again", times=rung)
            if time.monotonic() - swept_at > SWEEP_S:
                sweep_scratch(ledger, settings)
                swept_at = time.monotonic()
        except LedgerAwayError as error:
            log.warning("database is away", reason=error.detail)
        except Exception as error:  # the thread's outermost edge: it must look again whatever happened
            log.error("reconciler failed", exc_info=error)
        if done.wait(settings.reconcile_s):
            break
    doorbell.redis.close()
    _leave(ledger, seat)


def stay_seated(ledger: Ledger, seat: Seat) -> None:
    """Say that the worker is here; again from the start where it was forgotten."""
    with ledger.write() as connection:
        if not keep_seat(connection, seat.name):
            take_seat(connection, seat)


def _leave(ledger: Ledger, seat: Seat) -> None:
    try:
        with ledger.write() as connection:
            leave_seat(connection, seat.name)
    except (HistoserveError, SQLAlchemyError) as error:
        structlog.get_logger().warning("seat was not left", reason=str(error))


def child_env(settings: Settings) -> dict[str, str]:
    """What children need in their environment to have the settings of this process, where they were not from there."""
    given = {"HISTOSERVE_HOME": str(Path(settings.home).absolute()), "HISTOSERVE_PROVIDER": settings.provider}
    return given | {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": os.environ.get("PYTHONUNBUFFERED", "1")}
