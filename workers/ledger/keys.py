"""API keys: 256 random bits, shown once, kept as a digest; each belongs to a tenant, has scopes and may expire."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from workers.contract.errors import StateConflictError, UnknownError
from workers.ledger.database import now
from workers.ledger.ids import new_id
from workers.ledger.schema import api_keys

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
SECRET_BYTES = 32


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: float
    expires_at: float | None
    revoked_at: float | None


def create_key(
    connection: sa.Connection, tenant: str, name: str, scopes: Sequence[Scope], expires_s: float | None = None
) -> tuple[ApiKey, str]:
    """The new key and its text, which is kept nowhere and cannot be shown again."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    identifier = new_id("key")
    values = {
        "id": identifier,
        "tenant": tenant,
        "name": name,
        "secret_sha256": _digest(secret),
        "scopes": list(scopes),
        "created_at": now(),
        "expires_at": None if expires_s is None else now() + expires_s,
    }
    row = connection.execute(sa.insert(api_keys).values(values).returning(api_keys)).one()
    return _key(row), f"hs.{identifier}.{secret}"


def check_key(connection: sa.Connection, text: str) -> ApiKey | None:
    """The key that `text` is, if it is one of ours, not expired and not revoked."""
    parts = text.split(".")
    if len(parts) != 3 or parts[0] != "hs":
        return None
    row = connection.execute(
        sa.select(api_keys).where(
            api_keys.c.id == parts[1],
            api_keys.c.revoked_at.is_(None),
            sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now()),
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.secret_sha256, _digest(parts[2])):
        return None
    return _key(row)


def list_keys(connection: sa.Connection, tenant: str | None = None) -> Sequence[ApiKey]:
    """All keys, of one tenant where given, oldest first."""
    query = sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
    if tenant is not None:
        query = query.where(api_keys.c.tenant == tenant)
    return [_key(row) for row in connection.execute(query)]


def rotate_key(connection: sa.Connection, key_id: str, tenant: str, grace_s: float) -> tuple[ApiKey, ApiKey, str]:
    """(the old key, the new one that may do the same for as long again, its text); the old one ends after `grace_s`.

    Raises
    ------
    UnknownError
        The tenant has no such key.
    StateConflictError
        It was revoked or has expired.
    """
    ours = sa.and_(api_keys.c.id == key_id, api_keys.c.tenant == tenant)
    if connection.execute(sa.select(api_keys.c.id).where(ours)).one_or_none() is None:
        raise UnknownError(f"There is no key {key_id}.", "`histoserve keys list` shows them.")
    is_good = sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now())
    before = connection.execute(sa.select(api_keys).where(ours, api_keys.c.revoked_at.is_(None), is_good)).one_or_none()
    if before is None:
        raise StateConflictError(f"The key {key_id} opens nothing any more.", "Make a new one.")
    sooner = sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now() + grace_s)
    connection.execute(sa.update(api_keys).where(ours, sooner).values(expires_at=now() + grace_s))
    old = _key(connection.execute(sa.select(api_keys).where(ours)).one())
    lasts_s = None if before.expires_at is None else before.expires_at - before.created_at
    new, text = create_key(connection, tenant, before.name, before.scopes, lasts_s)
    return old, new, text


def revoke_key(connection: sa.Connection, key_id: str, tenant: str | None = None) -> ApiKey:
    """The key, which opens nothing from now on. Raises `UnknownError` where there is none."""
    update = (
        sa.update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(revoked_at=sa.func.coalesce(api_keys.c.revoked_at, now()))
        .returning(api_keys)
    )
    if tenant is not None:
        update = update.where(api_keys.c.tenant == tenant)
    row = connection.execute(update).one_or_none()
    if row is None:
        raise UnknownError(f"There is no key {key_id}.", "`histoserve keys list` shows them.")
    return _key(row)


def _key(row: sa.Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=tuple(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _digest(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()
