"""What every request passes: limits on what comes in, and headers on what goes out."""

import re
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import RefusedInputError
from service.problems import problem_of

MAX_BODY_BYTES = 16 << 20
"""Of every request but those that carry a slide."""
CARRIES_SLIDE = re.compile(r"^/v1/(uploads/[^/]+|slides/content|uploads)$")
REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class BodyTooLargeError(RefusedInputError):
    """The request is larger than any that is not a slide."""

    slug = "upload-too-large"
    title = "The request is too large"


class Guard:
    """An ASGI layer: one id per request, no body beyond its limit, headers that tell browsers to keep to themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        structlog.contextvars.bind_contextvars(request=request_id)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                marked = MutableHeaders(scope=message)
                marked["X-Request-ID"] = request_id
                marked["X-Content-Type-Options"] = "nosniff"
                marked.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        limited = receive if CARRIES_SLIDE.match(scope["path"]) else _limit(receive)
        stated = headers.get("content-length", "0")
        if limited is not receive and stated.isdigit() and int(stated) > MAX_BODY_BYTES:
            answer = problem_of(BodyTooLargeError(f"The body has {stated} bytes; the limit is {MAX_BODY_BYTES}."))
            await answer(scope, receive, send_marked)
            return
        try:
            await self._app(scope, limited, send_marked)
        finally:
            structlog.contextvars.clear_contextvars()


def _request_id(headers: Headers) -> str:
    sent = headers.get("x-request-id", "")
    return sent if REQUEST_ID.match(sent) else uuid4().hex


def _limit(receive: Receive) -> Receive:
    """A body without a stated length is counted as it comes."""
    seen = 0

    async def receive_counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise BodyTooLargeError(f"The body has more than {MAX_BODY_BYTES} bytes.")
        return message

    return receive_counted
