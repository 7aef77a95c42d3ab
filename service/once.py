"""Once: a request with an idempotency key is done once, however often it is sent."""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Header
from fastapi.responses import JSONResponse

from models.errors import RefusedInputError
from service.access import Caller
from workers.ledger.idempotency import Answer, Claim, claim_key, keep_answer

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, description="The same key is answered the same."),
]

NeededKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, include_in_schema=False)
]
"""Where there must be one: without it the request is answered by `require_key`, and documented by `KEY_NEEDED`."""
KEY_NEEDED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "Any fresh value; the same key is answered the same.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    ]
}


class IdempotencyKeyMissingError(RefusedInputError):
    """The request makes something and must say which request it is."""

    slug = "idempotency-key-missing"
    title = "An Idempotency-Key is needed"


def require_key(key: str | None) -> str:
    """The key. Raises `IdempotencyKeyMissingError` where none was sent."""
    if key is None:
        raise IdempotencyKeyMissingError(
            "This request needs the header Idempotency-Key.",
            "Send a fresh random value, and the same one when you repeat.",
        )
    return key


def answer_once(
    connection: sa.Connection,
    caller: Caller,
    operation: str,
    key: str | None,
    body: Any,
    make: Callable[[], Answer],
) -> Answer:
    """What `make` answers, or what it answered the first time to the same key and body; in the caller's transaction.

    Raises
    ------
    IdempotencyMismatchError
        The key was sent before with another body.
    """
    if key is None:
        return make()
    claim = Claim(caller.tenant, operation, key)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
    earlier = claim_key(connection, claim, digest)
    if earlier is not None:
        return earlier
    answer = make()
    keep_answer(connection, claim, answer)
    return answer


def respond(answer: Answer) -> JSONResponse:
    """The HTTP answer of a kept one."""
    return JSONResponse(answer.body, status_code=answer.status, headers=answer.headers)
