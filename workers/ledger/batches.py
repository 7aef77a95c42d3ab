"""Batches: many jobs handed in at once, each item with its own answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workers.contract.errors import UnknownError
from workers.ledger.database import now
from workers.ledger.ids import new_id
from workers.ledger.schema import batches


@dataclass(frozen=True)
class Batch:
    """A batch; `items` holds, per item, its external id and its job or its problem."""

    id: str
    tenant: str
    name: str | None
    items: Sequence[dict[str, Any]]
    created_at: float


def create_batch(connection: sa.Connection, tenant: str, name: str | None) -> Batch:
    """A new batch without items."""
    values: dict[str, Any] = {"id": new_id("bat"), "tenant": tenant, "name": name, "items": [], "created_at": now()}
    return Batch(**connection.execute(sa.insert(batches).values(values).returning(batches)).one()._mapping)


def set_items(connection: sa.Connection, batch: Batch, items: Sequence[dict[str, Any]]) -> None:
    """Keep what became of each item."""
    connection.execute(sa.update(batches).where(batches.c.id == batch.id).values(items=list(items)))


def get_batch(connection: sa.Connection, tenant: str, batch_id: str) -> Batch:
    """The batch. Raises `UnknownError` where the tenant has none of that name."""
    row = connection.execute(
        sa.select(batches).where(batches.c.id == batch_id, batches.c.tenant == tenant)
    ).one_or_none()
    if row is None:
        raise UnknownError(f"There is no batch {batch_id}.")
    return Batch(**row._mapping)
