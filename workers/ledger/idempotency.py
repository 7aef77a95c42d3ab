"""Idempotency keys: the same key with the same body gets the same answer, written with what it answers for."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workers.contract.errors import IdempotencyMismatchError
from workers.ledger.database import now
from workers.ledger.schema import idempotency

KEEP_S = 7 * 86400.0


@dataclass(frozen=True)
class Answer:
    """What was answered to the first request with a key."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Claim:
    """A key in the hands of the first request that brought it, within the transaction that does its work."""

    tenant: str
    operation: str
    key: str


def claim_key(connection: sa.Connection, claim: Claim, body_sha256: str) -> Answer | None:
    """The earlier answer to this key, or None where it is ours to answer with `keep_answer` in this transaction.

    Of two requests at once the second waits here until the first's transaction has ended.

    Raises
    ------
    IdempotencyMismatchError
        The key was used for another body.
    """
    connection.execute(_where(sa.delete(idempotency), claim).where(idempotency.c.expires_at < now()))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"tenant": claim.tenant, "operation": claim.operation, "key": claim.key, "body_sha256": body_sha256}
    made = connection.execute(
        insert(idempotency)
        .values(values | {"expires_at": now() + KEEP_S})
        .on_conflict_do_nothing()
        .returning(idempotency.c.key)
    )
    if made.one_or_none() is not None:
        return None
    row = connection.execute(_where(sa.select(idempotency), claim)).one()
    if row.body_sha256 != body_sha256:
        raise IdempotencyMismatchError(
            f"The key {claim.key!r} was sent before with another body.", "Use a new key for a new request."
        )
    return Answer(row.status, row.answer, row.headers)


def keep_answer(connection: sa.Connection, claim: Claim, answer: Answer) -> None:
    """Remember what this key is answered with."""
    connection.execute(
        _where(sa.update(idempotency), claim).values(status=answer.status, answer=answer.body, headers=answer.headers)
    )


def drop_expired(connection: sa.Connection) -> int:
    """How many keys were forgotten because their time is over."""
    return connection.execute(sa.delete(idempotency).where(idempotency.c.expires_at < now())).rowcount


def _where(statement: Any, claim: Claim) -> Any:
    return statement.where(
        idempotency.c.tenant == claim.tenant,
        idempotency.c.operation == claim.operation,
        idempotency.c.key == claim.key,
    )
