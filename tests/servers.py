"""Real servers for tests, on free ports, in folders of their own: Valkey from the wheel, PostgreSQL from the system.

Each can be stopped and started again on the same data and port; each is gone when its block ends, and dies with the
test run however that ends.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from service.embedded import find_server
from workers.contract.children import Command, start_child

READY_S = 30.0
GRACE_S = 15.0


class Server:
    """A server process that can be stopped and started again where it was."""

    def __init__(
        self,
        url: str,
        command: list[str],
        is_ready: Callable[[], bool],
        uid: int | None = None,
        stop_with: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.url = url
        self._stop_with = stop_with
        self._command = command
        self._is_ready = is_ready
        self._uid = uid
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True between start and stop."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The server's process; there is one."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it answers."""
        assert self._process is None, "it runs already"
        self._process = start_child(Command("server", [*self._as_user(), *self._command]), stdout=subprocess.DEVNULL)
        wait_for(self._is_ready, READY_S, lambda: f"the server of {self.url} did not answer")

    def stop(self) -> None:
        """Stop in good order; nothing is done where it is stopped."""
        if self._process is not None:
            self._process.send_signal(self._stop_with)
            self._process.wait(GRACE_S)
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def _as_user(self) -> list[str]:
        """PostgreSQL refuses to run as root."""
        if self._uid is None:
            return []
        return [sys.executable, "-P", "-c", DROP, str(self._uid)]


DROP = """
import os, pwd, sys
from workers.contract.tied import die_with_parent, parent_death
parent, uid, _ = os.getppid(), int(sys.argv[1]), parent_death()
os.setgroups([])
os.setgid(pwd.getpwuid(uid).pw_gid)
os.setuid(uid)
die_with_parent(parent)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Another user's process loses its tie to its parent, so it is tied again; what that needs is imported before, while
Python's own folder may be read."""


@contextmanager
def valkey_server(folder: Path | None = None) -> Iterator[Server]:
    """A running Valkey on a free loopback port, with its log on disk, empty unless `folder` holds data."""
    with _folder(folder) as data:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        options = {
            "bind": "127.0.0.1",
            "port": port,
            "dir": data,
            "appendonly": "yes",
            "save": "",
            "loglevel": "warning",
        }
        command = [str(find_server()), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        with _running(Server(url, command, lambda: _redis_answers(url))) as server:
            yield server


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A running PostgreSQL on a free loopback port, with one empty database; skips where it is not installed."""
    binaries = find_postgres()
    uid = _unprivileged() if os.getuid() == 0 else None
    with _folder(None) as folder:
        data, port = folder / "data", free_port()
        if uid is not None:
            os.chown(folder, uid, -1)
        initdb = [
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "histoserve",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, capture_output=True, user=uid, cwd=folder)
        settings = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off", "unix_socket_directories": folder}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        url = f"postgresql+psycopg://histoserve@127.0.0.1:{port}/postgres"
        command = [str(binaries / "postgres"), "-D", str(data), *flags, "-c", "log_min_messages=panic"]
        server = Server(url, command, lambda: _postgres_answers(port), uid, signal.SIGINT)
        # SIGINT: PostgreSQL's fast end; at SIGTERM it would wait for its clients.
        with _running(server):
            yield server


def new_database(server: Server, name: str) -> str:
    """The URL of a new, empty database of a PostgreSQL server."""
    base = server.url.rsplit("/", 1)[0]
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"{base}/{name}"


def find_postgres() -> Path:
    """The folder of PostgreSQL's programs, the newest; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return Path(initdb).resolve().parent


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for(
    holds: Callable[[], object], limit_s: float, told: Callable[[], str] = lambda: "it did not happen"
) -> None:
    """Return when `holds` does; fails where it does not within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(told())
        time.sleep(0.05)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """A short path: sockets lie in it."""
    if given is not None:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _redis_answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as redis:
            return bool(redis.ping())
    except RedisError:
        return False


def _postgres_answers(port: int) -> bool:
    try:
        with psycopg.connect(f"postgresql://histoserve@127.0.0.1:{port}/postgres", connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _unprivileged() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no other user here")
