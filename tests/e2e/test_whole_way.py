"""The whole way with a client we did not write: a real slide, everything killed on the way, the digests of `run`."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import httpx
from requests.exceptions import ConnectionError as ConnectionLostError
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader import Uploader

from tests.e2e.cluster import Cluster, cluster
from tests.e2e.command import digests, run_json

CHUNK_BYTES = 128 << 10


def test_a_real_slide_comes_through_whatever_is_killed(data_dir: Path, tmp_path: Path) -> None:
    slide, chance = data_dir / "slides" / "CMU-1-Small-Region.svs", random.Random(4)
    undisturbed = run_json(slide, "--package", "nuclei", "--out", tmp_path / "run", "--threads", "2")
    with cluster(tmp_path / "home") as deployment:
        client = deployment.start_service()
        upload_id = _send(deployment, slide, chance)
        made = client.post("/v1/slides", json={"upload_id": upload_id, "sha256": undisturbed["slide"]["sha256"]})
        assert made.status_code == 202, made.text
        deployment.start_worker()
        body, key = {"slide_id": made.json()["id"], "model": "nuclei"}, {"Idempotency-Key": "one"}
        job_id = client.post("/v1/jobs", json=body, headers=key).json()["id"]
        _kill_at_random(deployment, job_id, chance)
        deployment.kill_service()
        client.close()
        with deployment.start_service() as again:
            assert again.post("/v1/jobs", json=body, headers=key).json()["id"] == job_id
            job = _finish(again, job_id)
            assert job["state"] == "succeeded", job
            result = again.get(f"/v1/jobs/{job_id}/results").json()["result"]
    assert digests(result) == digests(undisturbed)
    assert (result["scores"], result["slide"]["sha256"]) == (undisturbed["scores"], undisturbed["slide"]["sha256"])


def _send(deployment: Cluster, slide: Path, chance: random.Random) -> str:
    """The upload's name, once tuspy has sent all; the service is killed three times in the middle."""
    headers = {"Authorization": f"Bearer {deployment.key}"}
    url = f"http://127.0.0.1:{deployment.settings.port}/v1/uploads"
    with slide.open("rb") as file:
        uploader = TusClient(url, headers=headers).uploader(file_stream=file, chunk_size=CHUNK_BYTES)
        _send_pieces(deployment, uploader, slide.stat().st_size, chance)
    return str(uploader.url).rsplit("/", 1)[-1]


def _send_pieces(deployment: Cluster, uploader: Uploader, size_bytes: int, chance: random.Random) -> None:
    kills = sorted(chance.sample(range(1, 14), 3))
    chunks = 0
    while uploader.offset < size_bytes:
        if chunks in kills:
            kills.remove(chunks)
            deployment.kill_service()
            deployment.start_service().close()
        with suppress(TusCommunicationError, ConnectionLostError):
            uploader.upload_chunk()
            chunks += 1
            continue
        # As tus clients do: ask how much the service has, and go on from there.
        uploader.offset = uploader.get_offset()
    assert kills == []


def _kill_at_random(deployment: Cluster, job_id: str, chance: random.Random) -> None:
    """Worker and child, at moments spread over the job's time."""
    for _ in range(3):
        time.sleep(chance.uniform(0.5, 3.0))
        who = [*deployment.horses(), *deployment.listeners()]
        if deployment.job(job_id).state == "succeeded" or not who:
            continue
        with suppress(ProcessLookupError):
            os.kill(chance.choice(who), signal.SIGKILL)


def _finish(client: httpx.Client, job_id: str) -> dict:
    while (job := client.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json())["ended_at"] is None:
        continue
    return job
