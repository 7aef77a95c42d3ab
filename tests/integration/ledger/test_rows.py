"""What the ledger keeps, for whom, and what it refuses."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.integration.ledger.made import made_job, made_slide, start
from workers.contract.errors import GoneError, QueueFullError, StateConflictError, TextInvalidError, UnknownError
from workers.ledger import clock, migrate, newest_version, open_ledger, schema_version
from workers.ledger.audit import Entry, add_entries, find_break
from workers.ledger.batches import create_batch, get_batch, set_items
from workers.ledger.jobs import cancel_job, delete_job, find_artifact, get_job, list_jobs, queue_position
from workers.ledger.keys import check_key, create_key, list_keys, revoke_key
from workers.ledger.pages import CursorInvalidError
from workers.ledger.schema import api_keys, audit, audit_head, metadata
from workers.ledger.seats import Seat, keep_seat, leave_seat, list_seats, take_seat
from workers.ledger.slides import delete_slide, find_same_slide, get_slide, list_slides, slides_to_validate
from workers.ledger.states import JOB_FROM, JOB_TERMINAL, move_job, move_slide
from workers.ledger.uploads import (
    commit_offset,
    complete_upload,
    create_upload,
    drop_expired_uploads,
    drop_upload,
    get_upload,
    use_upload,
)


def test_migrations_end_at_the_tables_of_the_code(ledger, ledger_url):
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert schema_version(ledger_url) == newest_version()
    migrate(ledger_url)


def test_an_empty_database_has_no_version(tmp_path):
    assert schema_version(f"sqlite:///{tmp_path / 'new.sqlite'}") is None


def test_sqlite_syncs_every_commit(tmp_path):
    url = f"sqlite:///{tmp_path / 'l.sqlite'}"
    migrate(url)
    ledger = open_ledger(url)
    with ledger.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
    ledger.close()


def test_the_clock_is_the_databases(ledger):
    with ledger.read() as connection:
        first, second = clock(connection), clock(connection)
    assert second >= first > 1.7e9


@pytest.mark.parametrize("state", JOB_TERMINAL)
def test_a_terminal_state_is_final(ledger, state):
    job = made_job(ledger)
    with ledger.write() as connection:
        move_job(connection, job.id, "running")
        assert move_job(connection, job.id, state)
        assert not any(move_job(connection, job.id, other) for other in JOB_FROM)


def test_a_queued_job_cannot_succeed(ledger):
    job = made_job(ledger)
    with ledger.write() as connection:
        assert not move_job(connection, job.id, "succeeded")


def test_a_foreign_tenant_sees_nothing(ledger):
    job, slide = made_job(ledger), made_slide(ledger, sha256="a" * 64)
    with ledger.write() as connection:
        upload = create_upload(connection, "lab", 10, {}, 60.0)
        batch = create_batch(connection, "lab", None)
        for look in (
            lambda: get_job(connection, "other", job.id),
            lambda: get_slide(connection, "other", slide.id),
            lambda: get_upload(connection, "other", upload.id),
            lambda: get_batch(connection, "other", batch.id),
            lambda: cancel_job(connection, "other", job.id),
            lambda: delete_slide(connection, "other", slide.id),
            lambda: use_upload(connection, "other", upload.id),
        ):
            with pytest.raises(UnknownError):
                look()
        assert find_same_slide(connection, "other", "a" * 64, None, {}) is None
        assert find_same_slide(connection, "lab", "a" * 64, None, {}).id == slide.id
        assert find_same_slide(connection, "lab", "a" * 64, None, {"accession": "B-2"}) is None, "another order"
        assert find_same_slide(connection, "lab", "a" * 64, 0.5, {}) is None, "another resolution"
        assert list_jobs(connection, "other").items == ()
        assert list_slides(connection, "other").items == ()


def test_a_nul_in_a_name_is_refused_or_unknown(ledger):
    with pytest.raises((TextInvalidError, UnknownError)), ledger.read() as connection:
        get_job(connection, "lab", "job_\0")


def test_pages_hold_everything_once(ledger):
    made = {made_job(ledger, ids={"accession": "A1"}).id for _ in range(7)}
    seen, cursor = [], None
    with ledger.read() as connection:
        while True:
            page = list_jobs(connection, "lab", filters={"accession": "A1"}, cursor=cursor, limit=3)
            seen += [job.id for job in page.items]
            if (cursor := page.cursor) is None:
                break
        with pytest.raises(CursorInvalidError):
            list_jobs(connection, "lab", cursor="e30")
    assert len(seen) == 7
    assert set(seen) == made


def test_the_queue_puts_urgent_jobs_first(ledger):
    routine, later, stat = made_job(ledger), made_job(ledger), made_job(ledger, priority="stat")
    with ledger.read() as connection:
        jobs = [get_job(connection, "lab", job.id) for job in (stat, routine, later)]
        assert [queue_position(connection, job) for job in jobs] == [1, 2, 3]
    start(ledger, stat.id)
    with ledger.read() as connection:
        assert queue_position(connection, get_job(connection, "lab", stat.id)) is None
        assert queue_position(connection, get_job(connection, "lab", routine.id)) == 1


def test_a_full_queue_takes_no_more(ledger):
    job = made_job(ledger)
    from workers.ledger.jobs import NewJob, create_job

    with pytest.raises(QueueFullError), ledger.write() as connection:
        create_job(connection, "lab", NewJob(job.slide_id, "toy@1.0.0", {}), max_queued=1)


def test_a_deleted_job_is_gone_and_a_running_one_stays(ledger):
    job = made_job(ledger)
    with ledger.write() as connection:
        with pytest.raises(StateConflictError):
            delete_job(connection, "lab", job.id)
        cancel_job(connection, "lab", job.id)
        delete_job(connection, "lab", job.id)
        with pytest.raises(GoneError):
            get_job(connection, "lab", job.id)
        assert list_jobs(connection, "lab").items == ()


def test_a_slide_in_use_is_not_deleted(ledger):
    job = made_job(ledger)
    with pytest.raises(StateConflictError), ledger.write() as connection:
        delete_slide(connection, "lab", job.slide_id)
    with ledger.write() as connection:
        assert get_slide(connection, "lab", job.slide_id).state == "ready", "the refusal left it as it was"
        cancel_job(connection, "lab", job.id)
        delete_slide(connection, "lab", job.slide_id)
        with pytest.raises(GoneError):
            get_slide(connection, "lab", job.slide_id)


def test_a_validated_slide_stays_what_it_was_found_to_be(ledger):
    slide = made_slide(ledger)
    with ledger.write() as connection:
        assert not move_slide(connection, slide.id, "refused", problem={})
        assert slides_to_validate(connection, -1.0) == []


def test_what_is_no_artifact_cannot_be_found(ledger):
    job = made_job(ledger)
    with ledger.read() as connection:
        for path in ("../ledger.sqlite", "/etc/passwd", "result.json", ""):
            with pytest.raises(UnknownError):
                find_artifact(connection, job.id, path)


def test_a_key_opens_until_it_expires_or_is_revoked(ledger):
    with ledger.write() as connection:
        key, text = create_key(connection, "lab", "LIS", ("read",), expires_s=60.0)
        _, expired = create_key(connection, "lab", "old", ("read",), expires_s=-1.0)
        assert check_key(connection, text) == key
        assert check_key(connection, expired) is None
        assert check_key(connection, text[:-1] + ("A" if text[-1] != "A" else "B")) is None
        assert check_key(connection, "Bearer") is None
        assert text.split(".")[2] not in str(connection.execute(sa.select(api_keys)).all())
        revoke_key(connection, key.id, "lab")
        assert check_key(connection, text) is None
        with pytest.raises(UnknownError):
            revoke_key(connection, key.id, "other")
        assert {k.name for k in list_keys(connection, "lab")} == {"LIS", "old"}


@pytest.mark.parametrize("harm", ["alter", "remove", "forge the last"])
def test_harm_to_the_audit_shows(ledger, harm):
    with ledger.write() as connection:
        add_entries(connection, [Entry("lab", None, "job.create", f"job_{i}", 202, {"n": "1"}) for i in range(5)])
        assert find_break(connection) is None
        if harm == "alter":
            connection.execute(sa.update(audit).where(audit.c.seq == 3).values(subject="job_x"))
        elif harm == "remove":
            connection.execute(sa.delete(audit).where(audit.c.seq == 3))
        else:
            connection.execute(sa.update(audit_head).values(digest="0" * 64))
        assert find_break(connection) == (6 if harm == "forge the last" else 3)


def test_an_upload_counts_only_what_was_committed(ledger):
    with ledger.write() as connection:
        upload = create_upload(connection, "lab", 10, {"filename": "a.svs"}, 60.0)
        later = commit_offset(connection, upload, 4, 60.0)
        with pytest.raises(StateConflictError, match="another request"):
            commit_offset(connection, upload, 6, 60.0)
        with pytest.raises(StateConflictError, match="4 of 10"):
            use_upload(connection, "lab", upload.id)
        complete_upload(connection, commit_offset(connection, later, 10, 60.0), None)
        assert use_upload(connection, "lab", upload.id).state == "used"
        with pytest.raises(StateConflictError, match="was used"):
            use_upload(connection, "lab", upload.id)
        with pytest.raises(StateConflictError, match="a slide's now"):
            drop_upload(connection, "lab", upload.id)


def test_late_uploads_are_dropped(ledger):
    with ledger.write() as connection:
        late = create_upload(connection, "lab", 10, {}, -1.0)
        kept = create_upload(connection, "lab", 10, {}, 60.0)
        with pytest.raises(GoneError):
            get_upload(connection, "lab", late.id)
        assert drop_expired_uploads(connection) == [late.id]
        assert get_upload(connection, "lab", kept.id) == kept


def test_a_batch_keeps_the_answer_to_each_item(ledger):
    with ledger.write() as connection:
        batch = create_batch(connection, "lab", "Monday")
        set_items(connection, batch, [{"job_id": "job_1"}, {"problem": {"title": "no"}}])
        assert get_batch(connection, "lab", batch.id).items == [{"job_id": "job_1"}, {"problem": {"title": "no"}}]


def test_a_seat_is_taken_kept_and_left(ledger):
    seat = Seat("w1", "host", 2, "onnxruntime-cpu", "0.1.0", {"nuclei@1.0.0": "a" * 64})
    with ledger.write() as connection:
        take_seat(connection, seat)
        take_seat(connection, seat)
        assert keep_seat(connection, "w1")
        assert [s.packages for s in list_seats(connection, 60.0)] == [seat.packages]
        leave_seat(connection, "w1")
        assert not keep_seat(connection, "w1")
        assert list_seats(connection, 60.0) == []
