"""Limits at the edge of the process: slow headers, broken requests, crowds; each answered with a problem document."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.problems import MEDIA_TYPE, RETRY_S, problem_response

HEADER_S = 20.0
"""uvicorn waits forever for a request's header; a client that sends a byte now and then would keep its place."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, whose patience for a request's header ends."""

    header_s = HEADER_S
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
        """Wait for the first header from now on."""
        super().connection_made(transport)
        self._watch_header()

    def handle_events(self) -> None:
        """Take what came; where it is not a whole header yet, the wait has an end."""
        super().handle_events()
        self._watch_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._stop_watching()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has a header beyond the limit, and close."""
        detail = f"{msg} It is no HTTP/1.1, or its header is too large."
        members = {"type": "urn:histoserve:bad-request", "title": "Not an HTTP request", "detail": detail}
        body = json.dumps({"status": 400, **members, "blame": "user_error"}).encode()
        headers = [("content-type", MEDIA_TYPE), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_header(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_s, self._give_up)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


class Crowd:
    """An ASGI layer that answers so many requests at a time and turns the others away, to come again."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] == "http" and self._inside >= self._most:
            await problem_response(HTTPStatus.SERVICE_UNAVAILABLE, self._busy(), {"Retry-After": RETRY_S})(
                scope, receive, send
            )
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

    def _busy(self) -> dict[str, Any]:
        return {
            "type": "urn:histoserve:busy",
            "title": "The service is busy",
            "detail": f"{self._most} requests are being answered already. Try again in a moment.",
            "blame": "system_error",
        }
