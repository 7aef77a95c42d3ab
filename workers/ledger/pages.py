"""Lists a page at a time: newest first, and where the next page begins."""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from models.errors import RefusedInputError

T = TypeVar("T")
PAGE_LIMIT = 200


class CursorInvalidError(RefusedInputError):
    """The cursor is not one we gave."""

    slug = "cursor-invalid"
    title = "The cursor is not valid"


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list, and the cursor of what follows; None at the end."""

    items: tuple[T, ...]
    cursor: str | None


def fetch_page(
    connection: sa.Connection,
    query: sa.Select[Any],
    table: sa.Table,
    make: Callable[[sa.Row[Any]], T],
    *,
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """Up to `limit` rows of a query over `table`, newest first, behind `cursor`."""
    if cursor is not None:
        created_at, identifier = _read_cursor(cursor)
        query = query.where(
            sa.or_(table.c.created_at < created_at, sa.and_(table.c.created_at == created_at, table.c.id < identifier))
        )
    ordered = query.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit + 1)
    rows = connection.execute(ordered).all()
    following = _write_cursor(rows[limit - 1]) if len(rows) > limit else None
    return Page(tuple(make(row) for row in rows[:limit]), following)


def _write_cursor(row: sa.Row[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([row.created_at, row.id]).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[float, str]:
    try:
        created_at, identifier = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return float(created_at), str(identifier)
    except (ValueError, TypeError, binascii.Error) as error:
        raise CursorInvalidError("The cursor is not one that was given.", "Begin again without it.") from error
