"""Leases on the database's clock: who may claim, who may hand in, and who may not any more."""

import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.integration.ledger.made import made_job, start
from workers.contract.errors import LeaseLostError
from workers.ledger import Ledger
from workers.ledger.events import list_events
from workers.ledger.jobs import Artifact, cancel_job, job_of_any_tenant, list_artifacts, list_attempts
from workers.ledger.leases import (
    FINISH,
    Attempt,
    Claim,
    Progress,
    Published,
    agree_plan,
    claim_band,
    commit_band,
    count_failure,
    end_attempt,
    fail_job,
    publish,
    read_records,
    reap_attempts,
    renew,
    reopen_band,
    start_attempt,
)
from workers.ledger.queue import free_bands, is_stat_waiting, jobs_without_worker

IDENTITY = {"code_version": "1", "provider": "toy"}


def plan(ledger: Ledger, attempt: Attempt, bands: int = 3, identity=IDENTITY, patience_s: float = 60.0):
    with ledger.write() as connection:
        return agree_plan(connection, attempt, identity, [4] * bands, patience_s)


def claim(ledger: Ledger, attempt: Attempt) -> Claim | None:
    with ledger.write() as connection:
        return claim_band(connection, attempt)


def commit(ledger: Ledger, attempt: Attempt, held: Claim) -> None:
    with ledger.write() as connection:
        commit_band(connection, attempt, held, {"by": attempt.number})


def hand_in(ledger: Ledger, attempt: Attempt, held: Claim) -> None:
    artifact = Artifact(attempt.job_id, "result.json", "0" * 64, 2, "application/json")
    with ledger.write() as connection:
        publish(connection, attempt, held, Published(f"by-{attempt.number}", {"scores": {}}, [artifact]))


def reap(ledger: Ledger) -> dict[str, int]:
    with ledger.write() as connection:
        return reap_attempts(connection)


def job(ledger: Ledger, job_id: str):
    with ledger.read() as connection:
        return job_of_any_tenant(connection, job_id)


def test_bands_are_claimed_in_order_and_the_finish_last(ledger):
    attempt = start(ledger, made_job(ledger).id)
    plan(ledger, attempt, bands=2)
    first, second = claim(ledger, attempt), claim(ledger, attempt)
    assert (first, second) == (Claim(0, 1), Claim(1, 1))
    assert claim(ledger, attempt) is None, "the finish is not free while a band is out"
    commit(ledger, attempt, second)
    assert claim(ledger, attempt) is None
    commit(ledger, attempt, first)
    finish = claim(ledger, attempt)
    assert finish == Claim(FINISH, 1)
    hand_in(ledger, attempt, finish)
    done = job(ledger, attempt.job_id)
    assert (done.state, done.tiles_done, done.bands_done, done.result_prefix) == ("succeeded", 8, 2, "by-1")
    with ledger.read() as connection:
        assert [(a.outcome, a.provider) for a in list_attempts(connection, done.id)] == [("done", "toy")]
        assert [a.path for a in list_artifacts(connection, done.id)] == ["result.json"]
        kinds = [event.kind for event in list_events(connection, done.id)]
    assert kinds == ["queued", "attempt-started", "planned", "band-done", "band-done", "succeeded", "attempt-ended"]


def test_two_workers_never_hold_one_band(ledger):
    one = start(ledger, made_job(ledger).id)
    plan(ledger, one)
    two = start(ledger, one.job_id)
    held = [claim(ledger, attempt) for attempt in (one, two, one)]
    assert sorted(c.number for c in held) == [0, 1, 2]
    assert claim(ledger, two) is None


def test_a_stale_worker_hands_in_nothing(ledger):
    stale = start(ledger, made_job(ledger).id, lease_s=0.01)
    plan(ledger, stale)
    held = claim(ledger, stale)
    time.sleep(0.05)
    assert reap(ledger) == {stale.job_id: 1}
    fresh = start(ledger, stale.job_id)
    again = claim(ledger, fresh)
    assert again == Claim(held.number, held.token + 1)
    with pytest.raises(LeaseLostError):
        commit(ledger, stale, held)
    with pytest.raises(LeaseLostError):
        claim(ledger, stale)
    commit(ledger, fresh, again)
    with ledger.read() as connection:
        assert read_records(connection, stale.job_id) == {0: {"by": 2}}


def test_a_renewed_lease_is_not_reaped_and_carries_the_progress(ledger):
    attempt = start(ledger, made_job(ledger).id, lease_s=0.01)
    time.sleep(0.03)
    with ledger.write() as connection:
        assert renew(connection, attempt, 60.0, Progress("tiles", 7, {"read": 1.5}))
    assert reap(ledger) == {}
    with ledger.read() as connection:
        (stay,) = list_attempts(connection, attempt.job_id)
    assert (stay.stage, stay.tiles, stay.seconds) == ("tiles", 7, {"read": 1.5})


def test_renewal_ends_with_the_job(ledger):
    attempt = start(ledger, made_job(ledger).id)
    with ledger.write() as connection:
        cancel_job(connection, "lab", attempt.job_id)
    with ledger.write() as connection:
        assert not renew(connection, attempt, 60.0, Progress())


def test_nothing_is_handed_in_for_a_cancelled_job(ledger):
    attempt = start(ledger, made_job(ledger).id)
    plan(ledger, attempt, bands=1)
    held = claim(ledger, attempt)
    with ledger.write() as connection:
        cancel_job(connection, "lab", attempt.job_id)
    with pytest.raises(LeaseLostError):
        commit(ledger, attempt, held)
    with ledger.write() as connection:
        assert start_attempt(connection, attempt.job_id, "w", 60.0) is None


def test_released_bands_are_free_at_once(ledger):
    attempt = start(ledger, made_job(ledger).id)
    plan(ledger, attempt)
    claim(ledger, attempt)
    with ledger.write() as connection:
        assert end_attempt(connection, attempt, "released")
        assert not end_attempt(connection, attempt, "done"), "an attempt ends once"
        assert free_bands(connection, attempt.job_id) == 3


def test_a_finished_band_forgives_lost_workers(ledger):
    made = made_job(ledger)
    for _ in range(2):
        start(ledger, made.id, lease_s=0.001)
        time.sleep(0.02)
        reap(ledger)
    assert job(ledger, made.id).lost == 2
    attempt = start(ledger, made.id)
    plan(ledger, attempt)
    commit(ledger, attempt, claim(ledger, attempt))
    assert job(ledger, made.id).lost == 0


def test_a_band_whose_shards_are_damaged_is_done_again(ledger):
    attempt = start(ledger, made_job(ledger).id)
    plan(ledger, attempt, bands=1)
    commit(ledger, attempt, claim(ledger, attempt))
    finish = claim(ledger, attempt)
    with ledger.write() as connection:
        reopen_band(connection, attempt, 0, finish)
    assert job(ledger, attempt.job_id).tiles_done == 0
    again = claim(ledger, attempt)
    assert again == Claim(0, 2)
    with pytest.raises(LeaseLostError):
        hand_in(ledger, attempt, finish)
    commit(ledger, attempt, again)
    hand_in(ledger, attempt, claim(ledger, attempt))
    assert job(ledger, attempt.job_id).state == "succeeded"


def test_another_identity_waits_for_the_first_and_plans_anew_when_all_are_gone(ledger):
    one = start(ledger, made_job(ledger).id)
    plan(ledger, one)
    commit(ledger, one, claim(ledger, one))
    other = {"code_version": "2", "provider": "toy"}
    two = start(ledger, one.job_id)
    assert plan(ledger, two, identity=other) == IDENTITY, "the first one is alive"
    with ledger.write() as connection:
        end_attempt(connection, one, "released")
    assert plan(ledger, two, identity=other) == IDENTITY, "and has not been gone for long"
    time.sleep(0.05)
    assert plan(ledger, two, identity=other, patience_s=0.01, bands=2) == other
    planned = job(ledger, one.job_id)
    assert (planned.bands_planned, planned.bands_done, planned.tiles_done) == (2, 0, 0)


def test_failures_count_and_end_a_job(ledger):
    attempt = start(ledger, made_job(ledger).id)
    with ledger.write() as connection:
        assert [count_failure(connection, attempt) for _ in range(3)] == [1, 2, 3]
        assert fail_job(connection, attempt.job_id, {"type": "urn:histoserve:internal"})
        assert not fail_job(connection, attempt.job_id, {"type": "urn:histoserve:timed-out"})
    assert job(ledger, attempt.job_id).problem == {"type": "urn:histoserve:internal"}


def test_the_reconciler_sees_what_nobody_works_on(ledger):
    routine, stat = made_job(ledger), made_job(ledger, priority="stat")
    with ledger.read() as connection:
        assert jobs_without_worker(connection, 60.0) == [], "just rung"
        assert jobs_without_worker(connection, -1.0) == [(stat.id, "stat"), (routine.id, "routine")]
        assert is_stat_waiting(connection)
    start(ledger, stat.id)
    with ledger.read() as connection:
        assert jobs_without_worker(connection, -1.0) == [(routine.id, "routine")]
        assert not is_stat_waiting(connection)


class Workers(RuleBasedStateMachine):
    """Workers that come, stall, wake up too late, are reaped, and a caller that may cancel; one job."""

    ledger: Ledger

    def __init__(self):
        super().__init__()
        self.job_id = made_job(self.ledger).id
        self.attempts: list[Attempt] = []
        self.held: list[tuple[Attempt, Claim]] = []
        self.committed: list[int] = []
        self.published = 0

    @rule(stalls=st.booleans())
    def come(self, stalls):
        with self.ledger.write() as connection:
            attempt = start_attempt(connection, self.job_id, "w", -1.0 if stalls else 60.0)
            if attempt is not None:
                agree_plan(connection, attempt, IDENTITY, [4, 4], 60.0)
                self.attempts.append(attempt)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def take(self, data):
        attempt = data.draw(st.sampled_from(self.attempts))
        try:
            held = claim(self.ledger, attempt)
        except LeaseLostError:
            return
        if held is not None:
            self.held.append((attempt, held))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish_one(self, data):
        attempt, held = data.draw(st.sampled_from(self.held))
        try:
            if held.number == FINISH:
                hand_in(self.ledger, attempt, held)
                self.published += 1
            else:
                commit(self.ledger, attempt, held)
                self.committed.append(held.number)
        except LeaseLostError:
            pass

    @rule()
    def sweep(self):
        reap(self.ledger)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def leave(self, data):
        with self.ledger.write() as connection:
            end_attempt(connection, data.draw(st.sampled_from(self.attempts)), "released")

    @invariant()
    def nothing_is_done_twice(self):
        assert len(set(self.committed)) == len(self.committed)
        assert self.published <= 1
        now = job(self.ledger, self.job_id)
        assert now.tiles_done == 4 * len(self.committed)
        assert (now.state == "succeeded") == (self.published == 1)
        if self.published:
            assert sorted(self.committed) == [0, 1]


def test_no_sequence_of_workers_does_a_thing_twice(ledger):
    Workers.ledger = ledger
    limits = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Workers, settings=limits)
