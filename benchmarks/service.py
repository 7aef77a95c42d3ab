"""The service beside what it stands on: the disk's rate, the engine without it, one worker against two."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.machine import summary

HISTOSERVE = str(Path(sys.executable).with_name("histoserve"))
UPLOAD_BYTES = 256 << 20
PIECE_BYTES = 8 << 20
CLIENTS, LOAD_S = 64, 8.0
REPEATS = 3
LATENCY_JOBS = 12


def measure(slide: Path, package: str) -> dict[str, Any]:
    """All rows, each comparison within this run."""
    with tempfile.TemporaryDirectory(prefix="hs-bench-") as folder, _up(Path(folder) / "home") as client:
        uploads = _uploads(client, Path(folder))
        slide_id = _hand_in(client, slide)
        overhead = _overhead(client, slide_id, slide, package, Path(folder))
        return {
            "uploads": uploads,
            "overhead": overhead,
            "latency": _latency(client, slide_id, package),
            "load": _load(client, overhead["last_job"]),
        } | {"two_workers": two_workers(slide, package)}


@contextmanager
def _up(home: Path, slots: int = 1, **env: str) -> Iterator[httpx.Client]:
    command = [HISTOSERVE, "up", "--home", str(home), "--port", "0", "--slots", str(slots), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | env) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            key = json.loads(Path(told["key_file"]).read_text())["key"]
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=told["url"], headers=headers, timeout=600, trust_env=False) as client:
                _wait_for_workers(client)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_for_workers(client: httpx.Client) -> None:
    while client.get("/readyz").json().get("status") != "ok":
        time.sleep(0.2)


def _uploads(client: httpx.Client, folder: Path) -> dict[str, Any]:
    """MB/s of one large body by PUT and by tus, and of the disk itself, written and fsynced as the service does."""
    source = folder / "body"
    rates: dict[str, list[float]] = {"disk": [], "put": [], "tus": []}
    for _ in range(REPEATS):
        source.write_bytes(os.urandom(UPLOAD_BYTES))
        for name, act in (("disk", _write_and_sync), ("put", _put), ("tus", _patch)):
            start = time.perf_counter()
            act(client, source)
            rates[name].append(UPLOAD_BYTES / 1e6 / (time.perf_counter() - start))
    ratios = {
        f"{name}_to_disk": summary([a / b for a, b in zip(rates[name], rates["disk"], strict=True)])
        for name in ("put", "tus")
    }
    return {f"{name}_mb_per_s": summary(values) for name, values in rates.items()} | ratios


def _write_and_sync(client: httpx.Client, source: Path) -> None:
    with source.open("rb") as body, source.with_name("copy").open("wb") as copy:
        while piece := body.read(PIECE_BYTES):
            copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())


def _put(client: httpx.Client, source: Path) -> None:
    _curl(client, "/v1/slides/content", source, {})


def _patch(client: httpx.Client, source: Path) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    made = client.post("/v1/uploads", headers=tus | {"Upload-Length": str(UPLOAD_BYTES)})
    made.raise_for_status()
    headers = tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    _curl(client, made.headers["location"], source, headers, "-X", "PATCH")


def _curl(client: httpx.Client, path: str, source: Path, headers: dict[str, str], *flags: str) -> None:
    """Send a file with a client that costs little; the machine's cores are the service's too."""
    given = headers | {"Authorization": client.headers["Authorization"], "Expect": ""}
    lines = [part for name, value in given.items() for part in ("-H", f"{name}: {value}")]
    url = str(client.base_url).rstrip("/") + path
    command = ["curl", "--silent", "--fail", "--output", "/dev/null", *flags, *lines, "-T", str(source), url]
    subprocess.run(command, check=True)


def _pieces(body: Any) -> Iterator[bytes]:
    while piece := body.read(1 << 20):
        yield piece


def _hand_in(client: httpx.Client, slide: Path) -> str:
    with slide.open("rb") as body:
        headers = {"Content-Length": str(slide.stat().st_size)}
        answer = client.put("/v1/slides/content", content=_pieces(body), headers=headers)
    slide_id: str = answer.raise_for_status().json()["id"]
    while (told := client.get(f"/v1/slides/{slide_id}").json())["state"] == "validating":
        time.sleep(0.2)
    assert told["state"] == "ready", told
    return slide_id


def _submit(client: httpx.Client, slide_id: str, package: str) -> str:
    body = {"slide_id": slide_id, "model": package}
    answer = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": uuid4().hex})
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def _finish(client: httpx.Client, job_id: str) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}", params={"wait": 60}).json()
        if job["ended_at"] is not None:
            assert job["state"] == "succeeded", job
            return job


def _overhead(client: httpx.Client, slide_id: str, slide: Path, package: str, folder: Path) -> dict[str, Any]:
    """Seconds of a job from submission to its end, over seconds of `histoserve run` with the same slide, in turns."""
    service, alone, last = [], [], ""
    for repeat in range(REPEATS):
        start = time.perf_counter()
        last = _submit(client, slide_id, package)
        _finish(client, last)
        service.append(time.perf_counter() - start)
        command = [HISTOSERVE, "run", str(slide), "--package", package, "--out", str(folder / f"run-{repeat}")]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        alone.append(time.perf_counter() - start)
    ratios = [s / a - 1 for s, a in zip(service, alone, strict=True)]
    return {
        "service_s": summary(service),
        "run_s": summary(alone),
        "overhead": summary(ratios),
        "goal": 0.03,
        "last_job": last,
    }


def _latency(client: httpx.Client, slide_id: str, package: str) -> dict[str, Any]:
    """Seconds from a job's row to its worker's start, on the database's clock, with a worker that waits."""
    seconds = []
    for _ in range(LATENCY_JOBS):
        job_id = _submit(client, slide_id, package)
        while (job := client.get(f"/v1/jobs/{job_id}").json())["started_at"] is None:
            time.sleep(0.02)
        client.post(f"/v1/jobs/{job_id}/cancel")
        times = [datetime.fromisoformat(job[name]) for name in ("created_at", "started_at")]
        seconds.append((times[1] - times[0]).total_seconds())
        _wait_until_idle(client, job_id)
    return {"submit_to_start_s": summary(seconds)}


def _wait_until_idle(client: httpx.Client, job_id: str) -> None:
    while client.get(f"/v1/jobs/{job_id}").json()["progress"]["workers"]:
        time.sleep(0.1)
    time.sleep(0.5)


def _load(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """A status and a range of a result, asked for by many at once."""
    key = {"Authorization": client.headers["Authorization"]}
    artifact = f"/v1/jobs/{job_id}/results/artifacts/cells.parquet"
    return {
        "get_job": _ask(client, f"/v1/jobs/{job_id}", key),
        "range_64_kib": _ask(client, artifact, key | {"Range": "bytes=0-65535"}),
    }


def _ask(client: httpx.Client, path: str, headers: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load", str(client.base_url), path, str(CLIENTS), str(LOAD_S)]
    done = subprocess.run([*command, json.dumps(headers)], check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def two_workers(slide: Path, package: str) -> dict[str, Any]:
    """Seconds of one job with one worker and with two, one thread each."""

    one, two = _job_times(slide, package, 1), _job_times(slide, package, 2)
    told: dict[str, Any] = {}
    for part in ("whole", "bands"):
        told |= {f"one_{part}_s": summary(one[part]), f"two_{part}_s": summary(two[part])}
        told[f"speed_up_{part}"] = summary([a / b for a, b in zip(one[part], two[part], strict=True)])
    return told


def _job_times(slide: Path, package: str, slots: int) -> dict[str, list[float]]:
    """Seconds of whole jobs, and of their bands alone: from the plan to the last band."""
    seconds: dict[str, list[float]] = {"whole": [], "bands": []}
    with (
        tempfile.TemporaryDirectory(prefix="hs-bench-") as folder,
        _up(Path(folder) / "home", slots, HISTOSERVE_THREADS="1", HISTOSERVE_READERS="1") as client,
    ):
        slide_id = _hand_in(client, slide)
        for _ in range(REPEATS):
            start = time.perf_counter()
            job = _finish(client, _submit(client, slide_id, package))
            seconds["whole"].append(time.perf_counter() - start)
            assert len(job["attempts"]) == slots, job["attempts"]
            events = client.get(f"/v1/jobs/{job['id']}/events").json()["items"]
            at = {event["kind"]: datetime.fromisoformat(event["at"]) for event in events}
            seconds["bands"].append((at["band-done"] - at["planned"]).total_seconds())
    return seconds
