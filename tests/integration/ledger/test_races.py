"""Many at once: one job per key, one end per job, no number twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.ledger.made import ORDER, made_job, made_slide, start
from workers.contract.errors import IdempotencyMismatchError, LeaseLostError, StateConflictError
from workers.ledger.audit import Entry, add_entries, find_break, list_entries
from workers.ledger.events import add_event, list_events
from workers.ledger.idempotency import Answer, Claim, claim_key, drop_expired, keep_answer
from workers.ledger.jobs import NewJob, cancel_job, count_states, create_job, job_of_any_tenant
from workers.ledger.leases import Published, agree_plan, claim_band, commit_band, publish

BODY = "b" * 64


def submit(ledger, slide_id: str, body: str = BODY, key: str = "k") -> str:
    claim = Claim("lab", "jobs", key)
    with ledger.write() as connection:
        earlier = claim_key(connection, claim, body)
        if earlier is not None:
            return str(earlier.body["id"])
        job = create_job(connection, "lab", NewJob(slide_id, "toy@1.0.0", ORDER), max_queued=1000)
        keep_answer(connection, claim, Answer(202, {"id": job.id}, {"Location": f"/v1/jobs/{job.id}"}))
        return job.id


def test_a_hundred_identical_submissions_are_one_job(ledger):
    slide = made_slide(ledger)
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: submit(ledger, slide.id), range(100)))
    assert len(set(made)) == 1
    with ledger.read() as connection:
        assert count_states(connection) == {"queued": 1}


def test_a_key_with_another_body_is_refused(ledger):
    slide = made_slide(ledger)
    submit(ledger, slide.id)
    with pytest.raises(IdempotencyMismatchError, match="another body"):
        submit(ledger, slide.id, body="c" * 64)


def test_a_submission_that_fails_leaves_its_key_free(ledger):
    claim = Claim("lab", "jobs", "k")
    with pytest.raises(RuntimeError), ledger.write() as connection:
        assert claim_key(connection, claim, BODY) is None
        raise RuntimeError("the job could not be made")
    with ledger.write() as connection:
        assert claim_key(connection, claim, "c" * 64) is None


def test_keys_are_forgotten_after_their_time(ledger, monkeypatch):
    monkeypatch.setattr("workers.ledger.idempotency.KEEP_S", -1.0)
    slide = made_slide(ledger)
    first = submit(ledger, slide.id)
    assert submit(ledger, slide.id, body="c" * 64) != first
    with ledger.write() as connection:
        assert drop_expired(connection) == 1


def test_cancel_against_completion_ends_in_one_state_fifty_times(ledger):
    ends = {_race(ledger) for _ in range(50)}
    assert ends <= {"succeeded", "cancelled"}


def _race(ledger) -> str:
    """The state in which a job ended that was cancelled and completed at once."""
    attempt = start(ledger, made_job(ledger).id)
    with ledger.write() as connection:
        agree_plan(connection, attempt, {}, [1], 60.0)
        commit_band(connection, attempt, claim_band(connection, attempt), {})
        finish = claim_band(connection, attempt)
    ready = threading.Barrier(2)

    def complete() -> str:
        ready.wait()
        try:
            with ledger.write() as connection:
                publish(connection, attempt, finish, Published("p", {}, []))
        except LeaseLostError:
            return "lost"
        return "succeeded"

    def cancel() -> str:
        ready.wait()
        try:
            with ledger.write() as connection:
                cancel_job(connection, "lab", attempt.job_id)
        except StateConflictError:
            return "too late"
        return "cancelled"

    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in (pool.submit(complete), pool.submit(cancel))]
    assert answers in (["succeeded", "too late"], ["lost", "cancelled"])
    with ledger.read() as connection:
        job = job_of_any_tenant(connection, attempt.job_id)
        ends = [e.kind for e in list_events(connection, job.id) if e.kind in ("succeeded", "cancelled")]
    assert ends == [job.state]
    assert job.state == ("succeeded" if answers[0] == "succeeded" else "cancelled")
    return job.state


def test_events_count_without_gaps_however_many_tell_them(ledger):
    job = made_job(ledger)

    def tell(number: int) -> None:
        with ledger.write() as connection:
            add_event(connection, job.id, "note", number=number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, range(40)))
    with ledger.read() as connection:
        assert [event.seq for event in list_events(connection, job.id)] == list(range(1, 42))
        assert [event.seq for event in list_events(connection, job.id, after=39)] == [40, 41]


def test_the_audit_is_one_chain_however_many_write(ledger):
    def write(number: int) -> None:
        with ledger.write() as connection:
            add_entries(connection, [Entry("lab", "key_x", "job.create", f"job_{number}", 202)] * 2)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(20)))
    with ledger.read() as connection:
        assert find_break(connection) is None
        assert [row.seq for row in list_entries(connection)] == list(range(1, 41))
