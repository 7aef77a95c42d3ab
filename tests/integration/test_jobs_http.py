"""Jobs and batches over HTTP: once, checked, waited for, ended; and seen by their own tenant alone."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx import Client

from tests.integration.ledger.made import made_slide, start
from tests.problems import problem
from tests.serving import Served, made_settings, served
from workers.ledger import Ledger
from workers.ledger.keys import create_key
from workers.ledger.leases import Progress, agree_plan, claim_band, commit_band, fail_job, renew

NUCLEI = "nuclei@1.0.0"


@pytest.fixture
def service(tmp_path) -> Iterator[Served]:
    # No Redis is there: everything is accepted all the same.
    with served(made_settings(tmp_path, max_queued_jobs=150)) as service:
        yield service


@pytest.fixture
def ledger(service) -> Ledger:
    return service.ledger


@pytest.fixture
def client(service) -> Iterator[Client]:
    with service.client() as client:
        yield client


def _bearer(ledger: Ledger, tenant: str, *scopes: str) -> dict[str, str]:
    with ledger.write() as connection:
        _, text = create_key(connection, tenant, "test", scopes or ("read", "write"))
    return {"Authorization": f"Bearer {text}"}


def submit(client: Client, slide_id: str, key: str = "k1", **fields):
    body = {"slide_id": slide_id, "model": NUCLEI} | fields
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})


def test_a_job_is_accepted_with_a_place_to_ask(client, ledger):
    slide = made_slide(ledger, ids={"accession": "A-1", "block": "B2"})
    ids = {"external_id": "X9", "block": "B3"}
    answer = submit(client, slide.id, model="nuclei", ids=ids, parameters={"min_area_um2": 20})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"]
    assert job["model"] == NUCLEI, "the version is fixed when the job is accepted"
    assert {k: v for k, v in job["ids"].items() if v} == {"accession": "A-1", "external_id": "X9", "block": "B3"}
    assert job["parameters"] == {"min_area_um2": 20}
    assert (job["state"], job["queue_position"], job["progress"]["fraction"]) == ("queued", 1, None)
    assert job["notice"].startswith("Research use only")
    assert client.get(answer.headers["location"]).json() == job


def test_the_same_key_is_the_same_job_and_another_body_is_refused(client, ledger):
    slide = made_slide(ledger)
    first = submit(client, slide.id)
    again = submit(client, slide.id)
    assert (again.status_code, again.json(), again.headers["location"]) == (
        202,
        first.json(),
        first.headers["location"],
    )
    problem(submit(client, slide.id, priority="stat"), 422, "idempotency-mismatch")


def test_a_hundred_identical_submissions_at_once_are_one_job(client, ledger):
    slide = made_slide(ledger)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: submit(client, slide.id), range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.get("/v1/jobs").json()["items"]) == 1


def test_what_cannot_be_done_is_refused_before_anything_is_written(client, ledger):
    slide = made_slide(ledger, stain="ihc")
    problem(client.post("/v1/jobs", json={"slide_id": slide.id, "model": NUCLEI}), 400, "idempotency-key-missing")
    problem(submit(client, slide.id), 422, "wrong-stain")
    problem(submit(client, "sld_none"), 404, "not-found")
    problem(submit(client, slide.id, model="nuclai"), 404, "model-unknown")
    problem(submit(client, slide.id, model=None), 422, "analysis-unclear")
    problem(submit(client, slide.id, model=None, analysis="palmistry"), 404, "model-unknown")
    problem(submit(client, slide.id, parameters={"threshold": 3}), 422, "parameters-invalid")
    problem(submit(client, slide.id, colour="red"), 422, "request-invalid")
    square = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0]]]}
    problem(submit(client, slide.id, parameters={"force": True}, regions=square), 422, "regions-invalid")
    assert client.get("/v1/jobs").json()["items"] == []
    assert submit(client, slide.id, parameters={"force": True}).status_code == 202


def test_a_foreign_job_is_not_there(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    other = _bearer(ledger, "other")
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
        problem(client.request(method, f"/v1/jobs/{job['id']}{path}", headers=other), 404, "not-found")
    assert client.get("/v1/jobs", headers=other).json()["items"] == []


def test_keys_open_what_their_scopes_say(client, ledger):
    slide = made_slide(ledger)
    reader = _bearer(ledger, "lab", "read")
    body = {"slide_id": slide.id, "model": NUCLEI}
    problem(client.post("/v1/jobs", json=body, headers=reader | {"Idempotency-Key": "k"}), 403, "forbidden")
    assert client.get("/v1/jobs", headers=reader).status_code == 200
    missing = client.get("/v1/jobs", headers={"Authorization": ""})
    problem(missing, 401, "unauthorized")
    assert missing.headers["www-authenticate"] == "Bearer"
    problem(client.get("/v1/jobs", headers={"Authorization": "Bearer hs.key_x.y"}), 401, "unauthorized")


def test_waiting_ends_when_the_job_ends(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    threading.Timer(0.5, lambda: client.post(f"/v1/jobs/{job['id']}/cancel")).start()
    began = time.monotonic()
    told = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
    assert told["state"] == "cancelled"
    assert time.monotonic() - began < 20


def test_an_unchanged_job_is_not_sent_again(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    first = client.get(f"/v1/jobs/{job['id']}")
    tag = {"If-None-Match": first.headers["etag"]}
    same = client.get(f"/v1/jobs/{job['id']}", headers=tag)
    assert (same.status_code, same.content) == (304, b"")
    start(ledger, job["id"])
    changed = client.get(f"/v1/jobs/{job['id']}", headers=tag, params={"wait": 30})
    assert (changed.status_code, changed.json()["state"]) == (200, "running")


def test_progress_counts_what_workers_have_done(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    attempt = start(ledger, job["id"])
    with ledger.write() as connection:
        agree_plan(connection, attempt, {}, [4, 4], 60.0)
        commit_band(connection, attempt, claim_band(connection, attempt), {})
        renew(connection, attempt, 60.0, Progress("tiles", 2, {"infer": 1.25}))
    progress = client.get(f"/v1/jobs/{job['id']}").json()["progress"]
    assert progress["eta_s"] >= 0
    del progress["eta_s"]
    assert progress == {
        "tiles_done": 6,
        "tiles_planned": 8,
        "bands_done": 1,
        "bands_planned": 2,
        "fraction": 0.75,
        "stage": "tiles",
        "seconds": {"infer": 1.25},
        "workers": 1,
    }


def test_a_failed_job_is_data_and_can_be_repeated(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    problem(client.post(f"/v1/jobs/{job['id']}/retry"), 409, "state-conflict")
    with ledger.write() as connection:
        fail_job(connection, job["id"], {"type": "urn:histoserve:no-tissue", "title": "No tissue", "detail": "0 %."})
    told = client.get(f"/v1/jobs/{job['id']}")
    assert (told.status_code, told.json()["problem"]["type"]) == (200, "urn:histoserve:no-tissue")
    again = client.post(f"/v1/jobs/{job['id']}/retry", headers={"Idempotency-Key": "r"})
    assert (again.status_code, again.json()["retry_of"], again.json()["state"]) == (202, job["id"], "queued")
    assert client.post(f"/v1/jobs/{job['id']}/retry", headers={"Idempotency-Key": "r"}).json() == again.json()
    problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 409, "state-conflict")


def test_a_deleted_job_is_gone(client, ledger):
    job = submit(client, made_slide(ledger).id).json()
    problem(client.delete(f"/v1/jobs/{job['id']}"), 409, "state-conflict")
    assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202, "cancelling twice is cancelling"
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    problem(client.get(f"/v1/jobs/{job['id']}"), 410, "gone")


def test_lists_are_filtered_and_paged(client, ledger):
    slide = made_slide(ledger)
    made = [submit(client, slide.id, key=f"k{i}", ids={"accession": f"A{i % 2}"}).json()["id"] for i in range(5)]
    page = client.get("/v1/jobs", params={"accession": "A0", "limit": 2})
    assert 'rel="next"' in page.headers["link"]
    following = client.get(page.headers["link"].split(">")[0].strip("<"))
    found = [job["id"] for answer in (page, following) for job in answer.json()["items"]]
    assert sorted(found) == sorted(made[::2])
    problem(client.get("/v1/jobs", params={"cursor": "nonsense"}), 400, "cursor-invalid")
    problem(client.get("/v1/jobs", params={"status": "sleeping"}), 422, "request-invalid")


def test_a_full_queue_says_so_and_when_to_come_back(client, ledger):
    slide = made_slide(ledger)
    items = [{"slide_id": slide.id, "model": NUCLEI}] * 150
    assert client.post("/v1/batches", json={"items": items}, headers={"Idempotency-Key": "b"}).status_code == 202
    full = submit(client, slide.id)
    problem(full, 429, "queue-full")
    assert full.headers["retry-after"]


def test_items_of_a_batch_are_answered_one_by_one(client, ledger):
    good, refused = made_slide(ledger), made_slide(ledger, stain="ihc")
    items = [
        {"slide_id": good.id, "model": NUCLEI, "ids": {"external_id": "one"}},
        {"slide_id": refused.id, "model": NUCLEI, "ids": {"external_id": "two"}},
        {"slide_id": "sld_none", "model": NUCLEI},
    ]
    sent = {"name": "Monday", "items": items}
    answer = client.post("/v1/batches", json=sent, headers={"Idempotency-Key": "b1"})
    assert answer.status_code == 202
    batch = answer.json()
    assert batch["states"] == {"queued": 1, "refused": 2}
    assert [item["external_id"] for item in batch["items"]] == ["one", "two", None]
    assert [(item["problem"] or {}).get("status") for item in batch["items"]] == [None, 422, 404]
    assert client.get(f"/v1/batches/{batch['id']}").json() == batch
    again = client.post("/v1/batches", json=sent, headers={"Idempotency-Key": "b1"})
    assert again.json() == batch
    jobs = client.get("/v1/jobs", params={"batch": batch["id"]}).json()["items"]
    assert [job["ids"]["external_id"] for job in jobs] == ["one"]


def test_models_say_what_they_are_for_and_how_they_are_set(client):
    (model,) = [m for m in client.get("/v1/models").json()["items"] if m["reference"] == NUCLEI]
    assert model["parameters"]["additionalProperties"] is False
    assert client.get("/v1/models/nuclei/versions/1.0.0").json() == model
    card = client.get("/v1/models/nuclei/versions/1.0.0/card")
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.text.startswith("#")
    problem(client.get("/v1/models/nuclei/versions/9.9.9"), 404, "model-unknown")
