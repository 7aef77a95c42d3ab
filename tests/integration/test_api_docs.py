"""The commands of docs/api.md, as they stand there."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY
from tests.finished import finished_job
from tests.serving import made_settings, served

COMMANDS = [
    command
    for block in re.findall(r"^```\n(.*?)^```", (REPOSITORY / "docs" / "api.md").read_text(), re.M | re.S)
    for command in re.findall(r"curl(?:[^\n]*\\\n)*[^\n]*", block)
]
SAID = {
    "status=succeeded": '"state":"succeeded"',
    "admin/keys": '"secret":"hs.key_',
    "job_of_nobody": '"type":"urn:histoserve:not-found"',
    "event-stream": "event: succeeded",
    "after=1": '"seq":2',
    "scores.csv": "cells.count,3",
    "bytes=0-9": "x,y\n1,2\n3,",
    "archive.zip": "",
    "readyz": '"status":"degraded"',
}


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> Iterator[dict[str, str]]:
    with served(made_settings(tmp_path_factory.mktemp("home"))) as service:
        job_id = finished_job(service, {"cells.csv": b"x,y\n1,2\n3,4\n", "result.json": b"{}"})
        key = service.key(scopes=("read", "admin"))
        yield os.environ | {"URL": service.url, "KEY": key, "JOB": job_id, "NO_PROXY": "127.0.0.1"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_command_says_what_it_should(env, command, tmp_path):
    shell = ["bash", "-c", command]
    done = subprocess.run(shell, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    wanted = next((text for part, text in SAID.items() if part in command), '"artifacts":[')
    assert wanted in done.stdout
    if "archive.zip" in command:
        assert (tmp_path / "result.zip").read_bytes()[:2] == b"PK"


def test_every_kind_of_command_is_there():
    assert len(COMMANDS) == 10
    assert all(any(part in command for command in COMMANDS) for part in SAID)
