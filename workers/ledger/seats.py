"""Workers that are there: what they run on, and which packages they found sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from workers.ledger.database import now
from workers.ledger.schema import packages, worker_seats


@dataclass(frozen=True)
class Seat:
    """A worker process group on one machine. `packages` maps references to the digests of their manifests."""

    name: str
    host: str
    slots: int
    provider: str
    code_version: str
    packages: dict[str, str]
    started_at: float = 0.0
    seen_at: float = 0.0


def take_seat(connection: sa.Connection, seat: Seat) -> None:
    """Say that a worker is here, with what it has."""
    connection.execute(sa.delete(worker_seats).where(worker_seats.c.name == seat.name))
    connection.execute(
        sa.insert(worker_seats).values(
            name=seat.name,
            host=seat.host,
            slots=seat.slots,
            provider=seat.provider,
            code_version=seat.code_version,
            packages=seat.packages,
            started_at=now(),
            seen_at=now(),
        )
    )
    for reference, digest in seat.packages.items():
        _see_package(connection, reference, digest)


def keep_seat(connection: sa.Connection, name: str) -> bool:
    """True where the worker was known; it is still here."""
    return (
        connection.execute(sa.update(worker_seats).where(worker_seats.c.name == name).values(seen_at=now())).rowcount
        == 1
    )


def leave_seat(connection: sa.Connection, name: str) -> None:
    """Say that a worker went."""
    connection.execute(sa.delete(worker_seats).where(worker_seats.c.name == name))


def list_seats(connection: sa.Connection, seen_within_s: float) -> Sequence[Seat]:
    """The workers that were seen lately, by name."""
    query = sa.select(worker_seats).where(worker_seats.c.seen_at > now() - seen_within_s).order_by(worker_seats.c.name)
    return [Seat(**row._mapping) for row in connection.execute(query)]


def _see_package(connection: sa.Connection, reference: str, digest: str) -> None:
    seen = sa.update(packages).where(packages.c.reference == reference, packages.c.manifest_sha256 == digest)
    if connection.execute(seen.values(last_seen_at=now())).rowcount:
        return
    connection.execute(
        sa.insert(packages).values(reference=reference, manifest_sha256=digest, first_seen_at=now(), last_seen_at=now())
    )
