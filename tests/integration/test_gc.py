"""Sweeping up takes what no row needs and nothing else; checking finds what was altered."""

import hashlib
import json
from pathlib import Path

import pytest

from service.cli import run_command
from tests.integration.ledger.made import made_job, made_slide, start
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.jobs import Artifact, cancel_job, delete_job
from workers.ledger.leases import Published, agree_plan, claim_band, commit_band, publish
from workers.ledger.uploads import complete_upload, create_upload


@pytest.fixture
def deployment(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOSERVE_HOME", str(tmp_path))
    settings = Settings()
    migrate(settings.database)
    ledger = open_ledger(settings.database)
    yield ledger, open_store(settings)
    ledger.close()


def put(store: Store, key: str, data: bytes = b"data") -> None:
    path = store.local_path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def published_job(ledger: Ledger, store: Store) -> str:
    attempt = start(ledger, made_job(ledger).id)
    prefix = f"jobs/{attempt.job_id}/results-1-1"
    put(store, f"{prefix}/scores.csv", b"1")
    artifact = Artifact(attempt.job_id, "scores.csv", hashlib.sha256(b"1").hexdigest(), 1, "text/csv")
    with ledger.write() as connection:
        agree_plan(connection, attempt, {}, [1], 60.0)
        commit_band(connection, attempt, claim_band(connection, attempt), {})
        publish(connection, attempt, claim_band(connection, attempt), Published(prefix, {}, [artifact]))
    return attempt.job_id


def gc(capsys, *flags: str) -> tuple[int, dict]:
    code = run_command(["gc", "--json", *flags])
    return code, json.loads(capsys.readouterr().out)


def test_what_no_row_needs_is_removed(deployment, capsys):
    ledger, store = deployment
    done, running, deleted = published_job(ledger, store), made_job(ledger).id, made_job(ledger).id
    start(ledger, running)
    with ledger.write() as connection:
        cancel_job(connection, "lab", deleted)
        delete_job(connection, "lab", deleted)
        upload = create_upload(connection, "lab", 0, {}, 60.0)
        complete_upload(connection, upload, None)
    made_slide(ledger, uri="store:slides/kept")
    kept = [
        f"jobs/{done}/results-1-1/scores.csv",
        f"jobs/{running}/bands/1-0-1/x",
        "slides/kept",
        f"slides/{upload.id}",
    ]
    litter = [f"jobs/{done}/bands/1-0-1/x", f"jobs/{deleted}/results-1-1/x", "jobs/job_unknown/x", "slides/upl_gone"]
    for key in kept[1:] + litter:
        put(store, key)
    code, told = gc(capsys, "--dry-run")
    assert (code, len(told["would_remove"]), told["removed"]) == (0, 4, [])
    assert all(store.exists(key) for key in litter)
    code, told = gc(capsys)
    assert (code, len(told["removed"])) == (0, 4)
    assert [store.exists(key) for key in kept] == [True] * 4
    assert [store.exists(key) for key in litter] == [False] * 4


@pytest.mark.parametrize(("harm", "what"), [("alter", "altered"), ("remove", "missing")])
def test_damage_is_found_and_named(deployment, capsys, harm, what):
    ledger, store = deployment
    job_id = published_job(ledger, store)
    assert gc(capsys, "--verify") == (0, {"removed": [], "would_remove": [], "checked": 1, "damaged": []})
    path = Path(store.local_path(f"jobs/{job_id}/results-1-1/scores.csv"))
    path.unlink() if harm == "remove" else path.write_bytes(b"2")
    code, told = gc(capsys, "--verify")
    assert (code, told["damaged"]) == (1, [{"job_id": job_id, "path": "scores.csv", "what": what}])
    assert run_command(["gc", "--verify"]) == 1
    assert what in capsys.readouterr().err
