"""The API as a process: one uvicorn on one socket, with limits."""

import signal
import socket
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from models.errors import HistoserveError
from workers.contract.settings import Settings

BACKLOG = 2048
LONGEST_HEADER_BYTES = 64 << 10
KEEP_ALIVE_S = 15
MOST_REQUESTS = 1000
GRACE_S = 5
"""Requests in the air have this long to end when the service stops; uploads go on from their offset later."""


class AddressError(HistoserveError):
    """The address to listen on cannot be had."""

    slug = "address-unavailable"
    title = "The service cannot listen there"


def listen_on(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises `AddressError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Accepted sockets have it from here; asyncio leaves it off for sockets made like this one, and an answer's
        # body would wait 40 ms for the acknowledgement of its header.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise AddressError(
            f"{host} port {port} cannot be listened on: {error.strerror}.", "Give another --port; 0 is any free one."
        ) from error


def url_of(listening: socket.socket) -> str:
    """Where a client on this machine reaches a socket."""
    host, port = listening.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is replaced, not listened on
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def run_service(settings: Settings, listening: socket.socket, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is told the URL when requests are answered.

    Raises
    ------
    HistoserveError
        The service could not start; the log has the reason.
    """
    url = url_of(listening)
    server = Server(_config(settings), lambda: on_ready(url))
    with _signals_end_quietly():
        server.run(sockets=[listening])
    if not server.was_ready:
        raise HistoserveError("The service could not start.", "The log has the reason.")


class Server(uvicorn.Server):
    """uvicorn, telling when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.was_ready = False
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        if self.started:
            self.was_ready = True
            self._on_ready()


def _config(settings: Settings) -> uvicorn.Config:
    # `up` listens and lets a child serve: it needs no app.
    from service.app import create_app
    from service.limits import Crowd, PatientProtocol

    return uvicorn.Config(
        # One more for the lifespan, which stays inside.
        Crowd(create_app(settings), MOST_REQUESTS + 1),
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=LONGEST_HEADER_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )


@contextmanager
def _signals_end_quietly() -> Any:
    """uvicorn raises the signal that ended it once more afterwards; an orderly end is no failure."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
