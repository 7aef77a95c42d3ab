"""The service in a thread of the test: a real server on a free port, and a client of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from service.app import create_app
from tests.servers import wait_for
from workers.contract.settings import Settings


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The URL of a running service; it is gone when the block ends."""
    config = uvicorn.Config(create_app(settings), log_config=None, ws="none", lifespan="on", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listening],), name="service")
        thread.start()
        try:
            wait_for(lambda: server.started or not thread.is_alive(), 30)
            assert server.started, "the service did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def client_of(url: str, headers: dict[str, str]) -> Iterator[httpx.Client]:
    """A client that believes in no proxy."""
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        yield client
