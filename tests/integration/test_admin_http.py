"""Keys, audit, health and metrics, as an administrator and a monitor see them."""

import shutil
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest
import sqlalchemy as sa

from tests.integration.ledger.made import made_job
from tests.problems import problem
from tests.serving import Served, made_settings, served
from workers.ledger.audit import list_entries
from workers.ledger.schema import audit
from workers.ledger.seats import Seat, take_seat


@pytest.fixture
def service(tmp_path) -> Iterator[Served]:
    with served(made_settings(tmp_path)) as service:
        yield service


@pytest.fixture
def admin(service) -> Iterator[httpx.Client]:
    with service.client(scopes=("admin",)) as client:
        yield client


def test_a_key_is_made_shown_once_used_and_revoked(service, admin):
    made = admin.post("/v1/admin/keys", json={"name": "LIS", "scopes": ["read"], "expires_s": 3600})
    assert made.status_code == 201
    key, secret = made.json()["key"], made.json()["secret"]
    assert secret not in admin.get("/v1/admin/keys").text
    bearer = {"Authorization": f"Bearer {secret}"}
    assert admin.get("/v1/jobs", headers=bearer).status_code == 200
    problem(admin.get("/v1/admin/keys", headers=bearer), 403, "forbidden")
    assert admin.delete(f"/v1/admin/keys/{key['id']}").json()["revoked_at"]
    problem(admin.get("/v1/jobs", headers=bearer), 401, "unauthorized")
    with service.ledger.read() as connection:
        assert [row.action for row in list_entries(connection)] == ["key.create", "key.revoke"]


def test_a_key_is_replaced_and_the_old_one_ends_after_its_grace(service, admin):
    made = admin.post("/v1/admin/keys", json={"name": "LIS", "scopes": ["read", "write"], "expires_s": 3600}).json()
    url = f"/v1/admin/keys/{made['key']['id']}/rotate"
    kept = admin.post(url, json={"grace_s": 600}).json()
    assert (kept["key"]["name"], kept["key"]["scopes"]) == ("LIS", ["read", "write"])
    assert kept["old"]["expires_at"] < made["key"]["expires_at"] <= kept["key"]["expires_at"]
    for secret in (made["secret"], kept["secret"]):
        assert admin.get("/v1/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    ended = admin.post(url, json={"grace_s": 0}).json()
    problem(admin.get("/v1/jobs", headers={"Authorization": f"Bearer {made['secret']}"}), 401, "unauthorized")
    assert admin.get("/v1/jobs", headers={"Authorization": f"Bearer {ended['secret']}"}).status_code == 200
    problem(admin.post(url, json={}), 409, "state-conflict")
    with service.client(tenant="other", scopes=("admin",)) as other:
        problem(other.post(f"/v1/admin/keys/{kept['key']['id']}/rotate", json={}), 404, "not-found")


def test_a_tenant_sees_what_it_has(service, admin):
    made_job(service.ledger)
    made_job(service.ledger, tenant="other")
    (tenant,) = admin.get("/v1/admin/tenants").json()["items"]
    assert (tenant["name"], tenant["slides"], tenant["jobs"], tenant["keys"]) == ("lab", 1, {"queued": 1}, 1)


def test_an_admin_sees_its_own_tenant_alone(service, admin):
    key_id = admin.post("/v1/admin/keys", json={"name": "LIS", "scopes": ["read"]}).json()["key"]["id"]
    with service.client(tenant="other", scopes=("admin",)) as other:
        assert [k["tenant"] for k in other.get("/v1/admin/keys").json()["items"]] == ["other"]
        problem(other.delete(f"/v1/admin/keys/{key_id}"), 404, "not-found")
        assert other.get("/v1/admin/audit").json()["items"] == []
        assert other.get("/v1/admin/queue").json()["states"] == {}


def test_the_audit_can_be_read_and_checked(service, admin):
    admin.post("/v1/admin/keys", json={"name": "LIS", "scopes": ["read"]})
    (row,) = admin.get("/v1/admin/audit").json()["items"]
    assert (row["action"], row["outcome"]) == ("key.create", 201)
    assert admin.get("/v1/admin/audit/check").json() == {"is_whole": True, "first_broken_seq": None}
    with service.ledger.write() as connection:
        connection.execute(sa.update(audit).values(outcome=200))
    assert admin.get("/v1/admin/audit/check").json() == {"is_whole": False, "first_broken_seq": 1}


def test_the_queue_and_the_workers_can_be_seen(service, admin):
    made_job(service.ledger)
    made_job(service.ledger, priority="stat")
    assert admin.get("/v1/admin/queue").json() == {
        "states": {"queued": 2},
        "waiting": {"stat": 1, "routine": 1},
        "redis": None,
    }
    with service.ledger.write() as connection:
        take_seat(connection, Seat("w", "host", 2, "onnxruntime-cpu", "0.1.0", {"nuclei@1.0.0": "a" * 64}))
    (worker,) = admin.get("/v1/admin/workers").json()["items"]
    assert (worker["provider"], worker["slots"]) == ("onnxruntime-cpu", 2)


def test_a_service_without_redis_and_workers_is_degraded_and_says_why(service):
    with httpx.Client(base_url=service.url, trust_env=False) as nobody:
        assert nobody.get("/livez").json() == {"status": "ok"}
        ready = nobody.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert [reason["part"] for reason in ready.json()["reasons"]] == ["redis", "workers"]


def test_readiness_names_the_runtimes_and_no_machine(service):
    with service.ledger.write() as connection:
        take_seat(connection, Seat("w1", "secret-host", 2, "onnxruntime-cpu", "0.1.0", {}))
        take_seat(connection, Seat("w2", "secret-host", 1, "onnxruntime-cpu", "0.1.0", {}))
    ready = httpx.get(f"{service.url}/readyz", trust_env=False)
    assert ready.json()["slots"] == {"onnxruntime-cpu": 3}
    assert [reason["slug"] for reason in ready.json()["reasons"]] == ["redis-away"]
    assert "secret-host" not in ready.text


def test_a_database_that_is_not_at_this_version_fails_readiness(service):
    with service.ledger.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'older'"))
    ready = httpx.get(f"{service.url}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (503, "failing")
    assert "ledger" in [reason["part"] for reason in ready.json()["reasons"]]


def test_a_store_that_takes_nothing_fails_readiness(service):
    (service.settings.home / "store" / "checks").write_text("a file where a folder should be")
    ready = httpx.get(f"{service.url}/readyz", trust_env=False)
    assert ready.status_code == 503
    assert "store" in [reason["part"] for reason in ready.json()["reasons"]]


def test_an_altered_package_fails_readiness_and_is_audited_once(tmp_path, monkeypatch):
    shutil.copytree(str(files("models") / "zoo" / "nuclei"), tmp_path / "models" / "nuclei-own")
    folder = tmp_path / "models" / "nuclei-own" / "1.0.0"
    manifest = (folder / "model.json").read_text().replace('"name": "nuclei",', '"name": "nuclei-own",', 1)
    (folder / "model.json").write_text(manifest)
    monkeypatch.setenv("HISTOSERVE_MODEL_DIR", str(tmp_path / "models"))
    with (
        served(made_settings(tmp_path / "home")) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=30) as nobody,
    ):
        assert nobody.get("/readyz").status_code == 200
        weights = next(folder.glob("*.onnx"))
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        answers = [nobody.get("/readyz") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert answers[0].json()["status"] == "failing"
        assert "nuclei-own" in str(answers[0].json()["reasons"])
        with service.ledger.read() as connection:
            assert [row.action for row in list_entries(connection)] == ["model.tampered"]


def test_a_disk_without_room_fails_readiness(tmp_path):
    with served(made_settings(tmp_path, reserve_bytes=1 << 60)) as service:
        answer = httpx.get(f"{service.url}/readyz", trust_env=False)
    assert answer.status_code == 503
    assert "disk" in [reason["part"] for reason in answer.json()["reasons"]]


def test_metrics_count_jobs_and_requests_by_route(service):
    job = made_job(service.ledger)
    with service.client() as client:
        client.get(f"/v1/jobs/{job.id}")
        client.get("/nowhere/at/all")
        text = client.get("/metrics").text
    assert 'histoserve_jobs{state="queued"} 1.0' in text
    assert 'histoserve_requests_total{method="GET",route="/v1/jobs/{job_id}",status="200"} 1.0' in text
    assert 'route="unknown",status="404"} 1.0' in text
    assert job.id not in text
