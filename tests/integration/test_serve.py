"""The service's process at its edge: slow headers, giant headers, crowds; and `histoserve serve` as a command."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from service.limits import Crowd, PatientProtocol
from service.serve import LONGEST_HEADER_BYTES, Server, listen_on, url_of
from tests.e2e.command import HISTOSERVE

LIMIT_S = 60.0


class Impatient(PatientProtocol):
    header_s = 0.3


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An app that answers any body with its length; at `/stay` it stays until its client goes."""
    size, more = 0, True
    while scope["path"] == "/stay" and (await receive())["type"] != "http.disconnect":
        pass
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@contextmanager
def serving(app: Any = echo) -> Iterator[str]:
    """The URL of a server in a thread, with the service's protocol and its limit on headers."""
    config = uvicorn.Config(
        app, http=Impatient, lifespan="off", log_config=None, h11_max_incomplete_event_size=LONGEST_HEADER_BYTES
    )
    ready = threading.Event()
    server = Server(config, ready.set)
    with listen_on("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert ready.wait(LIMIT_S)
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join()


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT_S)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_header_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    with serving() as url, connect(url) as slow:
        slow.sendall(sent)
        assert httpx.get(url, trust_env=False).status_code == 200
        assert read_all(slow) == b""


def test_a_header_that_trickles_ends_the_connection() -> None:
    """Each byte alone would have kept uvicorn waiting."""
    with serving() as url, connect(url) as slow:
        closed = False
        for _ in range(2000):
            try:
                slow.sendall(b"G")
                slow.settimeout(0.02)
                closed = slow.recv(1) == b""
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                closed = True
            if closed:
                break
        assert closed


def test_a_slow_body_is_waited_for() -> None:
    with serving() as url, connect(url) as slow:
        slow.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\na")
        assert not threading.Event().wait(3 * Impatient.header_s)
        slow.sendall(b"bc")
        assert b"\r\n3\r\n" in read_all(slow)


def test_a_connection_is_kept_for_the_next_request() -> None:
    with serving() as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/").text == "0"
        assert client.put("/", content=b"1234").text == "4"


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * LONGEST_HEADER_BYTES]
)
def test_what_is_no_http_or_has_a_giant_header_is_answered_with_a_problem(sent: bytes) -> None:
    with serving() as url, connect(url) as odd:
        odd.sendall(sent)
        head, body = read_all(odd).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "urn:histoserve:bad-request"


def test_a_crowd_is_turned_away_to_come_again() -> None:
    with serving(Crowd(echo, 1)) as url, connect(url) as first:
        first.sendall(b"GET /stay HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        turned_away = _until_busy(url)
        assert turned_away.headers["retry-after"]
        assert turned_away.json()["type"] == "urn:histoserve:busy"
    with serving(Crowd(echo, 1)) as url:
        assert httpx.get(url, trust_env=False).status_code == 200


def _until_busy(url: str) -> httpx.Response:
    for _ in range(1000):
        answer = httpx.get(url, trust_env=False)
        if answer.status_code == 503:
            return answer
    raise AssertionError("the first request never stood inside")


def test_serve_tells_its_url_migrates_and_ends_well(tmp_path: Path) -> None:
    command = [HISTOSERVE, "serve", "--port", "0", "--json"]
    env = {**os.environ, "HISTOSERVE_HOME": str(tmp_path), "HISTOSERVE_REDIS_URL": "redis://127.0.0.1:1/0"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/livez", trust_env=False).status_code == 200
        # Its Redis is not there: work is accepted all the same, and rung for later.
        assert httpx.get(f"{url}/readyz", trust_env=False).json()["status"] == "degraded"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
