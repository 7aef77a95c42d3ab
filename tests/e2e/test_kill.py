"""Kill -9 at random moments: the run goes on where it was and ends with the bytes of an undisturbed one."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.command import HISTOSERVE, digests, run_json

KILLS = 20


@pytest.mark.timeout(1800)
def test_killed_twenty_times_the_digests_are_those_of_an_undisturbed_run(phantom: Path, tmp_path: Path) -> None:
    start = time.monotonic()
    undisturbed = run_json(phantom, "--package", "nuclei", "--out", tmp_path / "whole")
    whole_s = time.monotonic() - start
    chance, kills, round_ = random.Random(20), 0, 0
    while kills < KILLS:
        out = tmp_path / f"killed-{round_}"
        kills += kill_until_done(phantom, out, chance, whole_s, KILLS - kills)
        disturbed = run_json(phantom, "--package", "nuclei", "--out", out)
        assert digests(disturbed) == digests(undisturbed)
        assert disturbed["scores"] == undisturbed["scores"]
        assert disturbed["plan"] == undisturbed["plan"]
        assert not list(out.rglob("*.part"))
        round_ += 1


def kill_until_done(slide: Path, out: Path, chance: random.Random, whole_s: float, limit: int) -> int:
    """How often a run was killed, at moments spread over a whole run's time, before it ended by itself."""
    command = [HISTOSERVE, "run", str(slide), "--package", "nuclei", "--out", str(out)]
    for kills in range(limit):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(chance.uniform(0.3, 1.0) * whole_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        else:
            assert child.returncode == 0
            return kills
    return limit


def test_sigterm_keeps_finished_bands_and_exits_with_one(phantom: Path, tmp_path: Path) -> None:
    command = [HISTOSERVE, "run", str(phantom), "--package", "nuclei", "--out", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    ledger = tmp_path / "run" / "bands.jsonl"
    deadline = time.monotonic() + 120
    while not ledger.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, told = child.communicate(timeout=60)
    assert child.returncode in (0, 1), told
    bands = ledger.read_bytes().count(b"\n")
    assert bands > 0
    result = run_json(phantom, "--package", "nuclei", "--out", tmp_path)
    assert result["resumed"] is True
    assert result["plan"]["bands"] >= bands
