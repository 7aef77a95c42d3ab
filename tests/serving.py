"""The service for tests: on a real socket of this process, or as a process of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from service.app import create_app
from service.serve import listen_on, url_of
from tests.servers import postgres_server, wait_for
from workers.contract.settings import Settings
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.keys import Scope, create_key

NOWHERE = "redis://127.0.0.1:1/0"
"""Redis is away: the service does without."""


@dataclass(frozen=True, eq=False)
class Served:
    """A service that answers."""

    settings: Settings
    ledger: Ledger
    url: str
    app: Any

    def key(self, tenant: str = "lab", scopes: tuple[Scope, ...] = ("read", "write")) -> str:
        with self.ledger.write() as connection:
            return create_key(connection, tenant, "test", scopes)[1]

    def client(self, tenant: str = "lab", scopes: tuple[Scope, ...] = ("read", "write")) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key(tenant, scopes)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)


def made_settings(home: Path, **fields: Any) -> Settings:
    return Settings(**({"home": home, "reserve_bytes": 0, "redis_url": NOWHERE} | fields))


@contextmanager
def database(kind: str) -> Iterator[str | None]:
    """The URL of an empty PostgreSQL; None for SQLite, which lies in the service's home."""
    if kind == "sqlite":
        yield None
        return
    with postgres_server() as server:
        yield server.url


@contextmanager
def served(settings: Settings) -> Iterator[Served]:
    """The app under uvicorn in a thread, on a free port, with the limits of `histoserve serve`."""
    migrate(settings.database)
    app = create_app(settings)
    listening = listen_on("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, http="h11", lifespan="on", log_config=None, h11_max_incomplete_event_size=64 << 10)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive(), 30)
    ledger = open_ledger(settings.database)
    try:
        yield Served(settings, ledger, url_of(listening), app)
    finally:
        server.should_exit = True
        thread.join(30)
        ledger.close()
        listening.close()
