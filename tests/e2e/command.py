"""Runs `histoserve` as a user does: a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HISTOSERVE = str(Path(sys.executable).with_name("histoserve"))


def histoserve(*arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """The finished process of one command line."""
    command = [HISTOSERVE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def run_json(*arguments: object) -> dict[str, Any]:
    """The result document of `histoserve run ... --json`, which must succeed."""
    done = histoserve("run", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def digests(result: dict[str, Any]) -> dict[str, str]:
    """Path to digest of everything a result holds."""
    return {part["path"]: part["sha256"] for part in [*result["files"], *result["folders"]]}
