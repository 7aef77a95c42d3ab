"""Events: as a list, as a stream that goes on where it broke off, and that ends with the job."""

import json
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from service.routes import events
from tests.integration.ledger.made import made_job, start
from tests.problems import problem
from tests.servers import wait_for
from tests.serving import Served, made_settings, served
from workers.ledger.jobs import cancel_job
from workers.ledger.schema import jobs

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def service(tmp_path) -> Iterator[Served]:
    with served(made_settings(tmp_path)) as service:
        yield service


def told(lines) -> list[tuple[int, str, dict]]:
    """(id, event, data) of a stream's text."""
    found, fields = [], {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and "id" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
            fields = {}
        elif name:
            fields[name] = value
    return found


def test_events_are_listed_in_order(service):
    job = made_job(service.ledger)
    start(service.ledger, job.id)
    with service.client() as client:
        items = client.get(f"/v1/jobs/{job.id}/events").json()["items"]
        assert [(e["seq"], e["kind"]) for e in items] == [(1, "queued"), (2, "attempt-started")]
        assert client.get(f"/v1/jobs/{job.id}/events", params={"after": 1}).json()["items"] == items[1:]


def test_a_stream_ends_with_the_job(service):
    job = made_job(service.ledger)

    def go_on() -> None:
        start(service.ledger, job.id)
        with service.ledger.write() as connection:
            cancel_job(connection, "lab", job.id)

    threading.Timer(0.7, go_on).start()
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        came = told(answer.iter_lines())
    assert [(seq, kind) for seq, kind, _ in came] == [(1, "queued"), (2, "attempt-started"), (3, "cancelled")]
    assert came[0][2]["data"]["priority"] == "routine"


def test_a_stream_goes_on_behind_the_last_event_that_came(service):
    job = made_job(service.ledger)
    start(service.ledger, job.id)
    with service.ledger.write() as connection:
        cancel_job(connection, "lab", job.id)
    headers = STREAM | {"Last-Event-ID": "2"}
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=headers) as answer:
        assert [seq for seq, _, _ in told(answer.iter_lines())] == [3]


def test_streams_that_were_left_are_given_back(service):
    job = made_job(service.ledger)
    with service.client() as client:
        for _ in range(3):
            with client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
                next(answer.iter_lines())
    wait_for(lambda: service.app.state.streams.count == 0, 10, lambda: "a stream is still held")


def test_a_crowd_is_told_to_ask_instead(service):
    job = made_job(service.ledger)
    service.app.state.streams.most = 1
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        next(lines)
        problem(client.get(f"/v1/jobs/{job.id}/events", headers=STREAM), 429, "too-many-streams")


def test_a_foreign_job_has_no_events(service):
    job = made_job(service.ledger)
    with service.client(tenant="other") as other:
        problem(other.get(f"/v1/jobs/{job.id}/events"), 404, "not-found")
        problem(other.get(f"/v1/jobs/{job.id}/events", headers=STREAM), 404, "not-found")


def test_a_quiet_stream_says_that_it_is_there(service, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.02)
    monkeypatch.setattr(events, "QUIET_S", 0.05)
    job = made_job(service.ledger)
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        assert any(line == ": keep-alive" for line in lines)


def test_a_stream_does_not_last_for_ever(service, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.02)
    monkeypatch.setattr(events, "LONGEST_S", 0.1)
    job = made_job(service.ledger)
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
        assert [kind for _, kind, _ in told(answer.iter_lines())] == ["queued"]


def test_the_stream_of_a_job_that_is_deleted_ends(service, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.02)
    job = made_job(service.ledger)
    with service.client() as client, client.stream("GET", f"/v1/jobs/{job.id}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        next(lines)
        with service.ledger.write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job.id).values(deleted_at=1.0))
        list(lines)
        problem(client.get(f"/v1/jobs/{job.id}/events", headers=STREAM), 410, "gone")
