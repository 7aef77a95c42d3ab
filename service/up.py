"""`histoserve up`: everything on this machine in one command. Every part is a child that dies with this process."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.errors import HistoserveError, RefusedInputError
from service.embedded import embedded_server, wait_until_answered
from service.serve import listen_on, url_of
from workers.contract.children import LOOK_S, Command, Kept, end_kept, keep_running, own_python
from workers.contract.settings import Settings
from workers.ledger import migrate, open_ledger
from workers.ledger.keys import SCOPES, check_key, create_key

TENANT = "default"
READY_S = 60.0
WORK_GRACE_S = 35.0
SERVER_GRACE_S = 10.0


class AlreadyUpError(RefusedInputError):
    """The home folder is in use by another `up`."""

    slug = "already-up"
    title = "It is running already"


@dataclass(frozen=True)
class Up:
    """What runs, for who wants to use it."""

    url: str
    home: Path
    key_file: Path
    slots: int
    pid: int


def run_up(settings: Settings, slots: int, stop: threading.Event, on_ready: Callable[[Up], None]) -> None:
    """Run everything until `stop`; `on_ready` is told when requests are answered.

    Raises
    ------
    AlreadyUpError
        Another `up` uses the home folder.
    HistoserveError
        A part could not be started.
    """
    prepare_home(settings.home)
    with (
        only_one(settings.home),
        listen_on(settings.host, settings.port) as listening,
        embedded_server(settings.home / "valkey") as valkey,
    ):
        url = url_of(listening)
        migrate(settings.database)
        ensure_key(settings, url)
        env = {"HISTOSERVE_HOME": str(settings.home), "HISTOSERVE_REDIS_URL": valkey.url}
        doorbell = Kept(valkey.command)
        working = [
            Kept(_command("service", ["serve", "--fd", str(listening.fileno())], env, [listening.fileno()])),
            Kept(_command("worker", ["worker", "--slots", str(slots)], env)),
        ]
        try:
            doorbell.look()
            wait_until_answered(valkey.url)
            _wait_until_ready(url, working, stop)
            if not stop.is_set():
                on_ready(Up(url, settings.home, settings.key_file, slots, os.getpid()))
            keep_running([doorbell, *working], stop)
        finally:
            end_kept(working, WORK_GRACE_S)
            end_kept([doorbell], SERVER_GRACE_S)


def prepare_home(home: Path) -> None:
    """Make the home folder, for this user only."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home folder for as long as the block lasts. Raises `AlreadyUpError` where another holds it."""
    # Opened for appending: what the holder wrote stays readable. The kernel lets go of it however the holder ends.
    with (home / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise AlreadyUpError(
                f"`histoserve up` is running on this home folder already, as process {file.read().strip() or '?'}.",
                "Use that one, stop it with Ctrl-C, or give another --home.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def ensure_key(settings: Settings, url: str) -> None:
    """Leave URL and key where the command line looks for them; a key that is still good is kept."""
    ledger = open_ledger(settings.database)
    try:
        with ledger.write() as connection:
            key = _kept_key(settings.key_file)
            if key is None or check_key(connection, key) is None:
                _, key = create_key(connection, tenant=TENANT, name="up", scopes=SCOPES)
    finally:
        ledger.close()
    _write_private(settings.key_file, json.dumps({"url": url, "key": key}) + "\n")


def _kept_key(path: Path) -> str | None:
    try:
        document = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    key = document.get("key") if isinstance(document, dict) else None
    return key if isinstance(key, str) else None


def _write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def _command(name: str, arguments: Sequence[str], env: dict[str, str], fds: Sequence[int] = ()) -> Command:
    start = [*own_python(), "-c", "from service.cli import main; main()"]
    return Command(name, [*start, *arguments], env, fds=fds)


def _wait_until_ready(url: str, kept: Sequence[Kept], stop: threading.Event) -> None:
    """Start the children and return when the service answers. Raises `HistoserveError` where it does not."""
    deadline = time.monotonic() + READY_S
    with httpx.Client(base_url=url, timeout=2.0, trust_env=False) as client:
        while not stop.is_set():
            for child in kept:
                child.look()
            if _is_live(client):
                return
            if time.monotonic() > deadline:
                raise HistoserveError(f"The service did not answer within {READY_S:g} s.", "The log has the reason.")
            stop.wait(LOOK_S)


def _is_live(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
