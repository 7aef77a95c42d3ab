"""Parts of `up` and `serve` that need no process: home folder, lock, addresses, the embedded server's socket."""

import os
import socket
import stat
from pathlib import Path

import pytest
from redis.connection import parse_url

from service.embedded import LONGEST_SOCKET_BYTES, embedded_server
from service.serve import AddressError, listen_on, url_of
from service.up import AlreadyUpError, _write_private, only_one, prepare_home

EVERY = "0.0.0.0"  # noqa: S104 - listened on for a moment, to see what is told of it


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_folder_is_for_its_owner_only(tmp_path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    prepare_home(home)
    assert mode(home) == 0o700


def test_a_home_folder_has_one_user_at_a_time(tmp_path) -> None:
    with only_one(tmp_path), pytest.raises(AlreadyUpError, match=str(os.getpid())), only_one(tmp_path):
        pytest.fail("two hold it")
    with only_one(tmp_path):
        pass


def test_the_key_file_is_for_its_owner_only_whatever_was_there(tmp_path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    _write_private(path, "new")
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_port_that_is_taken_is_told(tmp_path) -> None:
    with listen_on("127.0.0.1", 0) as first, pytest.raises(AddressError, match="--port"):
        listen_on("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", "127.0.0.1"), (EVERY, "127.0.0.1"), ("::1", "[::1]")])
def test_the_url_is_one_that_a_client_here_can_use(host, told) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listening = listen_on(host, 0)
    except AddressError:
        pytest.skip(f"{host} is not there")
    with listening:
        assert url_of(listening) == f"http://{told}:{listening.getsockname()[1]}"


@pytest.mark.parametrize("name", ["plain", "with space and %41 ü"])
def test_the_embedded_server_is_found_by_its_url(tmp_path, name) -> None:
    with embedded_server(tmp_path / name) as server:
        assert parse_url(server.url)["path"] == str(tmp_path / name / "valkey.sock")
        assert server.command.folder == tmp_path / name
    assert mode(tmp_path / name) == 0o700


def test_a_long_home_gets_a_short_socket_that_does_not_stay(tmp_path) -> None:
    folder = tmp_path / ("x" * LONGEST_SOCKET_BYTES)
    with embedded_server(folder) as server:
        path = Path(parse_url(server.url)["path"])
        assert len(str(path)) < LONGEST_SOCKET_BYTES
        assert mode(path.parent) == 0o700
    assert not path.parent.exists()
