"""`histoserve up` as a user meets it: one command, one folder, and no process left behind however it ends."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.command import HISTOSERVE, histoserve
from tests.servers import wait_for

LIMIT_S = 90.0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@dataclass(frozen=True)
class Running:
    """An `up` that answers."""

    process: subprocess.Popen[str]
    told: dict[str, Any]
    home: Path


@contextmanager
def up(home: Path, *arguments: str) -> Iterator[Running]:
    """A running `up` on a free port; killed at the end where it still runs."""
    command = [HISTOSERVE, "up", "--home", str(home), "--port", "0", "--json", *arguments]
    with (home.parent / "up.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (home.parent / "up.log").read_text()
        yield Running(process, json.loads(line), home)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        wait_for(lambda: not processes_of(home), LIMIT_S, lambda: f"left behind: {processes_of(home)}")


def processes_of(home: Path) -> dict[int, str]:
    """The processes that work on a home folder: told it in their environment or on their command line, or inside it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            told = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            folder = os.readlink(entry / "cwd")
        except OSError:
            continue
        if str(home) in command or f"HISTOSERVE_HOME={home}" in told or Path(folder).is_relative_to(home):
            found[int(entry.name)] = command
    return found


def named(home: Path, word: str) -> list[int]:
    """The processes of a home folder whose command holds a word, and that are the command itself."""
    return [pid for pid, command in processes_of(home).items() if word in command and "contract.tied" not in command]


def key_of(home: Path) -> dict[str, str]:
    document: dict[str, str] = json.loads((home / "key").read_text())
    return document


def test_up_answers_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home) as running:
        url = running.told["url"]
        assert running.told["pid"] == running.process.pid
        assert httpx.get(f"{url}/livez", trust_env=False).status_code == 200
        assert key_of(home)["url"] == url
        assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        key = {"Authorization": f"Bearer {key_of(home)['key']}"}
        assert httpx.get(f"{url}/v1/jobs", headers=key, trust_env=False).status_code == 200
        assert httpx.get(f"{url}/v1/jobs", trust_env=False).status_code == 401
        wait_for(lambda: named(home, "workers.daemon.listen"), LIMIT_S)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(LIMIT_S) == 0
        assert processes_of(home) == {}


def test_killed_it_leaves_nothing_behind_and_goes_on_with_the_same_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home, "--slots", "2") as running:
        wait_for(lambda: len(named(home, "workers.daemon.listen")) == 2, LIMIT_S)
        key = key_of(home)["key"]
        running.process.kill()
        running.process.wait()
        wait_for(lambda: not processes_of(home), LIMIT_S, lambda: f"left behind: {processes_of(home)}")
    with up(home) as running:
        assert key_of(home) == {"url": running.told["url"], "key": key}


def test_a_second_up_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with up(home) as running:
        second = histoserve("up", "--home", home, "--port", "0", "--json", timeout_s=LIMIT_S)
        assert second.returncode == 2
        problem = json.loads(second.stdout)
        assert problem["type"] == "urn:histoserve:already-up"
        assert str(running.process.pid) in problem["detail"]
        assert httpx.get(f"{running.told['url']}/livez", trust_env=False).status_code == 200


@pytest.mark.parametrize("part", ["serve --fd", "valkey-server", "worker --slots", "workers.daemon.listen"])
def test_a_part_that_is_killed_is_there_again(tmp_path: Path, part: str) -> None:
    home = tmp_path / "home"
    with up(home) as running:
        wait_for(lambda: named(home, part), LIMIT_S)
        wait_for(lambda: named(home, "workers.daemon.listen"), LIMIT_S)
        before = set(named(home, part))
        os.kill(before.pop(), signal.SIGKILL)
        wait_for(lambda: set(named(home, part)) - before, LIMIT_S, lambda: f"{part} did not come back")
        # The port stays open while the service is away: a request waits for it.
        assert httpx.get(f"{running.told['url']}/livez", trust_env=False, timeout=LIMIT_S).status_code == 200


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with up(tmp_path / "home") as running:
        port = running.told["url"].rsplit(":", 1)[1]
        other = histoserve("up", "--home", tmp_path / "other", "--port", port, "--json", timeout_s=LIMIT_S)
        assert other.returncode == 1
        assert json.loads(other.stdout)["type"] == "urn:histoserve:address-unavailable"
