"""New scores over HTTP: a job of its own that a worker does without slide and network, once, for its owner alone."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx import Client

from service.client.client import Client as Service
from tests.problems import problem
from tests.serving import Served, served
from tests.spots_made import spots_package, spots_slide
from workers.contract.orders import JobOrder
from workers.contract.settings import Settings
from workers.contract.store import open_store
from workers.engine.progress import say_nothing
from workers.ledger.audit import list_entries
from workers.ledger.events import list_events
from workers.ledger.jobs import NewJob, create_job
from workers.ledger.slides import NewSlide, create_slide
from workers.rescore.again import RescoreRequest, rescore
from workers.review.verify import verify_result
from workers.wake.answer import answer

SET = {"min_area_um2": 9, "detection_threshold": 0.95, "theta2": 2}


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Served]:
    """A deployment without Redis that has the package `spots`; this process answers the rings."""
    home = tmp_path_factory.mktemp("home")
    spots_package(home / "models")
    told = {
        "HOME": home,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "HEARTBEAT_S": 0.2,
        "MODEL_DIR": home / "models",
        "RESERVE_BYTES": 0,
    }
    before = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(f"HISTOSERVE_{name}", str(value))
        with served(Settings()) as running:
            yield running
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def parent(service, tmp_path_factory) -> str:
    """A job that a worker has done."""
    path = spots_slide(tmp_path_factory.mktemp("slides") / "spots.ome.tif")
    open_store(service.settings).put(path, "slides/upl_1")
    order = JobOrder(package="spots@1.0.0", parameters={"hotspots": 2}).model_dump(mode="json")
    with service.ledger.write() as connection:
        slide = create_slide(connection, "lab", NewSlide(origin="upload", uri="store:slides/upl_1"))
        ids = {"accession": "A-7"}
        job = create_job(connection, "lab", NewJob(slide.id, "spots@1.0.0", order, ids=ids), 100)
    answer(f"job:{job.id}")
    return job.id


@pytest.fixture
def client(service) -> Iterator[Client]:
    with service.client() as client:
        yield client


def ask(client: Client, job_id: str, key: str, **body):
    return client.post(f"/v1/jobs/{job_id}/results/rescore", json=body, headers={"Idempotency-Key": key})


def test_a_worker_scores_the_maps_anew_as_the_command_does(service, client, parent, tmp_path) -> None:
    told = ask(client, parent, "once", parameters=SET)
    assert told.status_code == 202, told.text
    job = told.json()
    assert told.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["rescore_of"], job["state"], job["ids"]["accession"]) == (parent, "queued", "A-7")
    assert job["parameters"] == {"hotspots": 2} | SET
    assert ask(client, parent, "once", parameters=SET).json() == job
    problem(ask(client, parent, "once", parameters={}), 422, "idempotency-mismatch")
    answer(f"job:{job['id']}")
    done = client.get(f"/v1/jobs/{job['id']}").json()
    assert done["state"] == "succeeded", done["problem"]
    with Service(service.url, service.key()) as caller:
        caller.download(parent, tmp_path / "parent")
        caller.download(job["id"], tmp_path / "again")
    package = str(service.settings.home / "models" / "spots" / "1.0.0")
    here = rescore(RescoreRequest(tmp_path / "parent", SET, tmp_path / "here", package), say_nothing)
    there = json.loads((tmp_path / "again" / "result.json").read_text())
    before = client.get(f"/v1/jobs/{parent}").json()["scores"]
    assert done["scores"] == there["scores"] == here.model_dump(mode="json")["scores"] != before
    assert {p["path"]: p["sha256"] for p in there["files"]} == {p.path: p.sha256 for p in here.files}
    assert verify_result(tmp_path / "again", None, package).passed
    with service.ledger.read() as connection:
        kinds = [event.kind for event in list_events(connection, job["id"])]
        actions = {(row.action, row.subject) for row in list_entries(connection, limit=1000)}
    assert kinds == ["queued", "attempt-started", "planned", "succeeded", "attempt-ended"]
    assert ("job.rescore", job["id"]) in actions
    problem(ask(client, job["id"], "of-a-rescored", parameters={}), 409, "not-rescorable")


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        ({"parameters": {"threshold": 1}}, "parameters-invalid"),
        ({"parameters": {"min_area_um2": "many"}}, "parameters-invalid"),
        ({"parameters": {"force": True}}, "parameters-invalid"),
        ({"parameters": {}, "regions": None}, "request-invalid"),
    ],
)
def test_what_is_no_threshold_is_refused_and_nothing_is_made(client, parent, body, slug) -> None:
    before = client.get("/v1/jobs").json()["items"]
    refused = ask(client, parent, f"bad-{slug}-{len(str(body))}", **body)
    assert refused.status_code == 422
    assert refused.json()["type"].startswith("urn:histoserve:")
    if slug != "request-invalid":
        problem(refused, 422, slug)
    assert client.get("/v1/jobs").json()["items"] == before


def test_only_a_finished_job_of_one_s_own_can_be_scored_anew(service, client, parent) -> None:
    problem(client.post(f"/v1/jobs/{parent}/results/rescore", json={}), 400, "idempotency-key-missing")
    with service.client(tenant="other") as other:
        problem(ask(other, parent, "foreign"), 404, "not-found")
    with service.client(scopes=("read",)) as reader:
        problem(ask(reader, parent, "reading"), 403, "forbidden")
    waiting = ask(client, parent, "to-wait", parameters={"theta1": 0.25}).json()["id"]
    problem(ask(client, waiting, "early"), 404, "result-not-ready")
    client.post(f"/v1/jobs/{waiting}/cancel")
    problem(ask(client, waiting, "cancelled"), 404, "no-result")


def test_a_result_of_an_older_version_is_refused_at_once(service, client, parent) -> None:
    import sqlalchemy as sa

    from workers.ledger.schema import jobs

    with service.ledger.write() as connection:
        result = connection.execute(sa.select(jobs.c.result).where(jobs.c.id == parent)).scalar_one()
        old = result | {"files": [part for part in result["files"] if "analysed" not in part["path"]]}
        connection.execute(sa.update(jobs).where(jobs.c.id == parent).values(result=old))
    try:
        refused = problem(ask(client, parent, "old", parameters=SET), 409, "not-rescorable")
        assert "older version" in refused["detail"]
    finally:
        with service.ledger.write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == parent).values(result=result))


def test_a_map_that_was_altered_in_the_store_is_never_scored(service, client, parent) -> None:
    job_id = ask(client, parent, "altered", parameters={"detection_threshold": 0.6}).json()["id"]
    prefix = Path(service.settings.home)
    shard = next(path for path in prefix.rglob(f"jobs/{parent}/results-*/maps/heat.ome.zarr/0/c/*/*") if path.is_file())
    data = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(data[:-1] + b"?")
    try:
        for _ in range(service.settings.max_failures):
            answer(f"job:{job_id}")
    finally:
        shard.write_bytes(data)
    told = client.get(f"/v1/jobs/{job_id}").json()
    assert (told["state"], told["problem"]["type"]) == ("failed", "urn:histoserve:integrity")


def test_a_parent_that_is_deleted_before_the_worker_comes_ends_the_job(service, client, parent) -> None:
    job_id = ask(client, parent, "deleted", parameters={"theta1": 0.25}).json()["id"]
    client.delete(f"/v1/jobs/{parent}")
    answer(f"job:{job_id}")
    told = client.get(f"/v1/jobs/{job_id}").json()
    assert (told["state"], told["problem"]["type"]) == ("failed", "urn:histoserve:gone")
    problem(ask(client, parent, "gone"), 410, "gone")
