"""The audit: who did what, in rows that are only ever added and that each hold the digest of the one before."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from workers.ledger.database import clock
from workers.ledger.schema import audit, audit_head


@dataclass(frozen=True)
class Entry:
    """Something somebody did. `outcome` is the HTTP status they were given, 0 where the command line did it."""

    tenant: str | None
    key_id: str | None
    action: str
    subject: str
    outcome: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditRow:
    """An entry as it stands in the chain."""

    seq: int
    at: float
    tenant: str | None
    key_id: str | None
    action: str
    subject: str
    outcome: int
    detail: dict[str, Any]
    previous: str
    digest: str


def add_entries(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Append entries to the chain; its head is locked until the transaction ends."""
    head = connection.execute(
        sa.update(audit_head).values(seq=audit_head.c.seq).returning(audit_head.c.seq, audit_head.c.digest)
    ).one()
    seq, digest, at, rows = head.seq, head.digest, clock(connection), []
    for entry in entries:
        seq, previous = seq + 1, digest
        fields = asdict(entry) | {"subject": entry.subject[:512], "seq": seq, "at": at, "previous": previous}
        digest = _digest(fields)
        rows.append(fields | {"digest": digest})
    if rows:
        connection.execute(sa.insert(audit), rows)
        connection.execute(sa.update(audit_head).values(seq=seq, digest=digest))


def list_entries(
    connection: sa.Connection, *, after: int = 0, limit: int = 100, tenant: str | None = None
) -> Sequence[AuditRow]:
    """Rows behind number `after`, in order."""
    query = sa.select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
    if tenant is not None:
        query = query.where(audit.c.tenant == tenant)
    return [AuditRow(**row._mapping) for row in connection.execute(query)]


def find_break(connection: sa.Connection) -> int | None:
    """The number of the first row that was altered, removed or slipped in; None where the chain is whole."""
    previous, expected = "0" * 64, 1
    for row in _all_rows(connection):
        fields = {k: v for k, v in asdict(row).items() if k != "digest"}
        if row.seq != expected or row.previous != previous or row.digest != _digest(fields):
            return expected
        previous, expected = row.digest, expected + 1
    head = connection.execute(sa.select(audit_head)).one()
    return None if (head.seq, head.digest) == (expected - 1, previous) else expected


def _all_rows(connection: sa.Connection) -> Iterator[AuditRow]:
    after = 0
    while rows := list_entries(connection, after=after, limit=1000):
        yield from rows
        after = rows[-1].seq


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
