"""Who is calling: the bearer key, its tenant and its scopes; a dependency of every endpoint under `/v1`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from models.errors import RefusedInputError
from service.deployment import deployment_of
from workers.ledger.audit import Entry
from workers.ledger.keys import Scope, check_key


class UnauthorizedError(RefusedInputError):
    """No key was sent, or one that opens nothing."""

    slug = "unauthorized"
    title = "A valid API key is needed"


class ForbiddenError(RefusedInputError):
    """The key does not have the scope this needs."""

    slug = "forbidden"
    title = "The key may not do this"


@dataclass(frozen=True)
class Caller:
    """Whose key it is."""

    key_id: str
    tenant: str
    scopes: tuple[Scope, ...]
    name: str = ""

    @property
    def told(self) -> str:
        """Name and id of the key, for people."""
        return f"{self.name} ({self.key_id})" if self.name else self.key_id


bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer hs.…`")


SentKey = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
"""The key as it was sent, for endpoints that check it in the transaction in which they look further."""


def caller_with(scope: Scope) -> Callable[..., Caller]:
    """A dependency that gives the caller where the key has the scope; `admin` has all."""

    def find_caller(request: Request, sent: SentKey = None) -> Caller:
        with deployment_of(request).ledger.read() as connection:
            return check_caller(connection, sent, scope)

    return find_caller


def check_caller(connection: sa.Connection, sent: HTTPAuthorizationCredentials | None, scope: Scope) -> Caller:
    """Whose key was sent.

    Raises
    ------
    UnauthorizedError
        None was, or it opens nothing.
    ForbiddenError
        It does not have the scope.
    """
    if sent is None:
        raise UnauthorizedError("No API key was sent.", "Send it as `Authorization: Bearer <key>`.")
    key = check_key(connection, sent.credentials)
    if key is None:
        raise UnauthorizedError("The API key is not known, has expired or was revoked.", "Ask for a new one.")
    if scope not in key.scopes and "admin" not in key.scopes:
        raise ForbiddenError(
            f"This needs the scope {scope!r}; the key has {', '.join(key.scopes) or 'none'}.",
            "Ask for a key with this scope.",
        )
    return Caller(key.id, key.tenant, key.scopes, key.name)


Reader = Annotated[Caller, Depends(caller_with("read"))]
Writer = Annotated[Caller, Depends(caller_with("write"))]
Admin = Annotated[Caller, Depends(caller_with("admin"))]


def entry_of(caller: Caller, action: str, subject: str, outcome: int, **detail: str) -> Entry:
    """The audit entry of something a caller did, to be written in the transaction that does it."""
    return Entry(caller.tenant, caller.key_id, action, subject, outcome, dict(detail))
