"""Results over HTTP: every byte with its digest, in ranges, as an archive; nothing that is not the result's."""

import base64
import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
import structlog
from httpx import Client, RemoteProtocolError

from tests.finished import RESULT, finished_job
from tests.integration.ledger.made import made_job
from tests.problems import problem
from tests.serving import Served, made_settings, served
from workers.ledger.audit import list_entries
from workers.ledger.jobs import cancel_job

FILES = {
    "cells.csv": b"x,y\n1,2\n",
    "maps/m.ome.zarr/0/c/0/0": os.urandom(300_000),
    "maps/m.ome.zarr/zarr.json": b"{}",
    "overview.png": b"\x89PNG fake",
    "result.json": b"{}",
}


@pytest.fixture
def service(tmp_path) -> Iterator[Served]:
    with served(made_settings(tmp_path)) as service:
        yield service


def reads_of(service: Served) -> list[tuple[str, int]]:
    """(name, outcome) of every read in the audit."""
    with service.ledger.read() as connection:
        rows = list_entries(connection, limit=1000)
    return [(row.detail["name"], row.outcome) for row in rows if row.action == "result.read"]


@pytest.fixture
def client(service) -> Iterator[Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def job_id(service) -> str:
    """A job that succeeded, with its files in the store."""
    return finished_job(service, FILES, ids={"accession": "A-1"})


def test_the_manifest_leads_to_every_file(client, job_id):
    told = client.get(f"/v1/jobs/{job_id}/results").json()
    assert (told["result"], told["ids"]["accession"]) == (RESULT, "A-1")
    assert [item["path"] for item in told["artifacts"]] == sorted(FILES)
    for item in told["artifacts"]:
        answer = client.get(item["url"])
        assert hashlib.sha256(answer.content).hexdigest() == item["sha256"]
        assert answer.headers["etag"] == f'"{item["sha256"]}"'
        digest = base64.b64encode(hashlib.sha256(FILES[item["path"]]).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
        assert answer.headers["content-length"] == str(item["size_bytes"])


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=100-299999", 100, 300_000), ("bytes=299990-", 299_990, 300_000),
     ("bytes=-10", 299_990, 300_000), ("bytes=5-9999999", 5, 300_000), ("bytes=-9999999", 0, 300_000)],
)  # fmt: skip
def test_a_range_is_that_range(client, job_id, wanted, start, stop):
    data = FILES["maps/m.ome.zarr/0/c/0/0"]
    answer = client.get(f"/v1/jobs/{job_id}/results/zarr/m.ome.zarr/0/c/0/0", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, data[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/300000"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=0-1", "bytes=9-2", "bytes=-", "nonsense"])
def test_what_is_no_single_range_is_the_whole(client, job_id, wanted):
    answer = client.get(f"/v1/jobs/{job_id}/results/artifacts/cells.csv", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, FILES["cells.csv"])


def test_a_range_behind_the_end_is_refused(client, job_id):
    answer = client.get(f"/v1/jobs/{job_id}/results/artifacts/cells.csv", headers={"Range": "bytes=8-"})
    problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == "bytes */8"


def test_conditions_are_kept(client, job_id):
    url = f"/v1/jobs/{job_id}/results/artifacts/cells.csv"
    tag = client.get(url).headers["etag"]
    same = client.get(url, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    resumed = client.get(url, headers={"Range": "bytes=4-", "If-Range": tag})
    assert (resumed.status_code, resumed.content) == (206, b"1,2\n")
    changed = client.get(url, headers={"Range": "bytes=4-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, FILES["cells.csv"])
    head = client.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "8")


@pytest.mark.parametrize(
    "name",
    [
        "../../ledger.sqlite",
        "..%2f..%2fledger.sqlite",
        "%2e%2e/%2e%2e/ledger.sqlite",
        "./cells.csv",
        "/cells.csv",
        "//etc/passwd",
        "%2Fetc%2Fpasswd",
        "cells.csv%00",
        "cells.csv%00.png",
        "..\\..\\ledger.sqlite",
        "cells.csv/",
        "maps",
        "nothing",
        "CELLS.CSV",
        "%ff%fe",
        "a" * 4000,
        ".",
        "",
    ],
)
@pytest.mark.parametrize("folder", ["artifacts", "zarr"])
def test_what_is_no_file_of_the_result_is_not_there_and_remembered(service, job_id, folder, name):
    # As it is written: a client library would tidy the path up first.
    asked = HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    path = f"/v1/jobs/{job_id}/results/{folder}/{name}"
    asked.request("GET", path, headers={"Authorization": f"Bearer {service.key()}"})
    answer = asked.getresponse()
    document = json.loads(answer.read())
    asked.close()
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert document["type"] == "urn:histoserve:not-found"
    assert [outcome for _, outcome in reads_of(service)] == [404]


def test_every_read_is_in_the_audit_before_it_is_answered(service, client, job_id):
    url = f"/v1/jobs/{job_id}/results"
    tag = client.get(f"{url}/artifacts/cells.csv", headers={"Range": "bytes=0-1"}).headers["etag"]
    client.get(f"{url}/artifacts/cells.csv", headers={"If-None-Match": tag})
    client.head(f"{url}/overview.png")
    for name in ("", "/scores.json", "/scores.csv", "/archive.zip", "/zarr/m.ome.zarr/zarr.json"):
        assert client.get(f"{url}{name}").status_code == 200
    client.get(f"{url}/artifacts/cells.csv", headers={"Range": "bytes=99-"})
    assert reads_of(service) == [
        ("cells.csv", 206),
        ("cells.csv", 304),
        ("overview.png", 200),
        ("result.json", 200),
        ("scores.json", 200),
        ("scores.csv", 200),
        ("archive.zip", 200),
        ("maps/m.ome.zarr/zarr.json", 200),
        ("cells.csv", 416),
    ]


def test_scores_come_as_json_and_as_a_table_that_no_program_executes(client, job_id):
    assert client.get(f"/v1/jobs/{job_id}/results/scores.json").json()["scores"] == RESULT["scores"]
    rows = list(csv.reader(io.StringIO(client.get(f"/v1/jobs/{job_id}/results/scores.csv").text)))
    assert rows[0] == ["name", "value"]
    assert dict(rows[1:])["cells.class"] == "'=nucleus"
    assert dict(rows[1:])["cells.shift"] == "-1.5"


def test_the_archive_holds_every_file_and_is_the_same_each_time(client, job_id):
    first, second = (client.get(f"/v1/jobs/{job_id}/results/archive.zip").content for _ in range(2))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


@pytest.mark.parametrize("bytes_", [b"short", b"x,y\n1,3\n"], ids=["another size", "the same size"])
def test_an_altered_file_is_told_and_not_sent(service, client, job_id, bytes_):
    place = service.app.state.deployment.store.local_path(f"jobs/{job_id}/results-1-1/cells.csv")
    place.unlink()
    place.write_bytes(bytes_)
    problem(client.get(f"/v1/jobs/{job_id}/results/artifacts/cells.csv"), 500, "integrity")
    assert reads_of(service) == [("cells.csv", 500)]


def test_a_file_that_is_gone_is_told(service, client, job_id):
    service.app.state.deployment.store.remove(f"jobs/{job_id}/results-1-1/cells.csv")
    problem(client.get(f"/v1/jobs/{job_id}/results/artifacts/cells.csv"), 503, "store-failed")
    problem(client.get(f"/v1/jobs/{job_id}/results/archive.zip"), 503, "store-failed")


@pytest.fixture
def short_logs() -> Iterator[None]:
    """structlog's own default would write the megabytes that are variables of the frames."""
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[plain])
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("short_logs")
def test_an_altered_large_file_is_never_sent_whole(service, client):
    data = os.urandom(3 << 20)
    job_id = finished_job(service, {"large.bin": data})
    assert client.get(f"/v1/jobs/{job_id}/results/artifacts/large.bin").content == data
    place = service.app.state.deployment.store.local_path(f"jobs/{job_id}/results-1-1/large.bin")
    place.unlink()
    place.write_bytes(bytes(1) + data[1:])
    for name in ("artifacts/large.bin", "archive.zip"):
        with pytest.raises(RemoteProtocolError):
            client.get(f"/v1/jobs/{job_id}/results/{name}")


def test_what_has_no_result_says_why(service, client):
    job = made_job(service.ledger)
    problem(client.get(f"/v1/jobs/{job.id}/results"), 404, "result-not-ready")
    with service.ledger.write() as connection:
        cancel_job(connection, "lab", job.id)
    problem(client.get(f"/v1/jobs/{job.id}/results/archive.zip"), 404, "no-result")
    client.delete(f"/v1/jobs/{job.id}")
    problem(client.get(f"/v1/jobs/{job.id}/results"), 410, "gone")


def test_a_foreign_result_is_not_there(service, job_id):
    with service.client(tenant="other") as other:
        for path in (
            "",
            "/artifacts/cells.csv",
            "/zarr/m.ome.zarr/zarr.json",
            "/archive.zip",
            "/scores.csv",
            "/overview.png",
        ):
            problem(other.get(f"/v1/jobs/{job_id}/results{path}"), 404, "not-found")
