"""Slides over HTTP: made of uploads, of bodies and of references; found, waited for and deleted."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.servers import valkey_server, wait_for
from tests.serving import Served, database, made_settings, served
from workers.ledger.audit import list_entries
from workers.ledger.jobs import NewJob, cancel_job, create_job
from workers.ledger.slides import get_slide
from workers.ledger.states import move_slide

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
MOST = 32 << 20


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for name in ("a b.svs", "b.svs"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request, tmp_path_factory, root) -> Iterator[Served]:
    limits = {"max_upload_bytes": MOST, "reference_roots": (f"file:{root}",)}
    home = tmp_path_factory.mktemp("home")
    with database(request.param) as url, served(made_settings(home, database_url=url, **limits)) as running:
        yield running


@pytest.fixture
def client(service) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


def upload(client: httpx.Client, data: bytes, length: int | None = None) -> str:
    headers = TUS | BODY | {"Upload-Length": str(length or len(data))}
    answer = client.post("/v1/uploads", headers=headers, content=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def stored(service: Served, slide_id: str) -> Path:
    with service.ledger.read() as connection:
        uri = get_slide(connection, "lab", slide_id).uri
    assert uri.startswith("store:")
    return service.settings.home / "store" / uri.removeprefix("store:")


def check_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:histoserve:{slug}"


def test_a_slide_is_made_of_an_upload(service, client) -> None:
    data = os.urandom(500_000)
    name = upload(client, data)
    sent = {
        "upload_id": name,
        "filename": "../x.svs",
        "mpp": 0.25,
        "stain": "he",
        "ids": {"accession": "A1", "block": "2"},
    }
    answer = client.post("/v1/slides", json=sent)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert answer.headers["Location"] == f"/v1/slides/{told['id']}"
    assert "Retry-After" in answer.headers
    assert (told["state"], told["filename"], told["mpp"], told["stain"]) == ("validating", "x.svs", 0.25, "he")
    assert (told["size_bytes"], told["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (told["ids"]["accession"], told["ids"]["block"], told["ids"]["specimen"]) == ("A1", "2", None)
    assert stored(service, told["id"]).read_bytes() == data
    assert not (service.settings.uploads_folder / name).exists()
    assert client.get(answer.headers["Location"]).json() == told
    check_problem(client.post("/v1/slides", json=sent | {"mpp": 0.5}), 409, "state-conflict")
    assert client.head(f"/v1/uploads/{name}", headers=TUS).headers["Upload-Offset"] == str(len(data))


def test_the_same_bytes_are_known_inside_the_tenant(service, client) -> None:
    data = os.urandom(1000)
    first = client.post("/v1/slides", json={"upload_id": upload(client, data)})
    again = upload(client, data)
    second = client.post("/v1/slides", json={"upload_id": again})
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Location"] == first.headers["Location"]
    assert not (service.settings.uploads_folder / again).exists()
    assert client.put("/v1/slides/content", content=data).status_code == 200
    assert client.put("/v1/slides/content", params={"mpp": 0.5}, content=data).status_code == 202
    with service.client("elsewhere") as foreign:
        other = foreign.put("/v1/slides/content", content=data)
    assert other.status_code == 202
    assert other.json()["id"] != first.json()["id"]


def test_other_bytes_than_were_stated_are_refused(service, client) -> None:
    name, stated = upload(client, b"abc"), "0" * 64
    check_problem(client.post("/v1/slides", json={"upload_id": name, "sha256": stated}), 422, "slide-changed")
    assert (service.settings.uploads_folder / name).read_bytes() == b"abc"
    before = set((service.settings.home / "store" / "slides").iterdir())
    check_problem(client.put("/v1/slides/content", params={"sha256": stated}, content=b"xyz"), 422, "slide-changed")
    assert set((service.settings.home / "store" / "slides").iterdir()) == before
    right = hashlib.sha256(b"abc").hexdigest()
    assert client.post("/v1/slides", json={"upload_id": name, "sha256": right}).status_code == 202


def test_what_cannot_become_a_slide_is_refused(client, service) -> None:
    check_problem(client.post("/v1/slides", json={}), 422, "slide-source-unclear")
    check_problem(client.post("/v1/slides", json={"upload_id": "u", "uri": "file:/x"}), 422, "slide-source-unclear")
    check_problem(client.post("/v1/slides", json={"upload_id": "upl_none"}), 404, "not-found")
    check_problem(client.post("/v1/slides", json={"upload_id": "upl\0"}), 422, "request-invalid")
    check_problem(client.post("/v1/slides", json={"upload_id": "u", "label": 1}), 422, "request-invalid")
    name = upload(client, b"abc", length=5)
    check_problem(client.post("/v1/slides", json={"upload_id": name}), 409, "state-conflict")
    with service.client("elsewhere") as foreign:
        check_problem(foreign.post("/v1/slides", json={"upload_id": name}), 404, "not-found")
    client.delete(f"/v1/uploads/{name}", headers=TUS)
    check_problem(client.post("/v1/slides", json={"upload_id": name}), 410, "gone")


def test_the_same_key_makes_one_slide(client) -> None:
    sent, key = {"upload_id": upload(client, os.urandom(9))}, {"Idempotency-Key": "slide-1"}
    first, again = (client.post("/v1/slides", json=sent, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    check_problem(client.post("/v1/slides", json=sent | {"mpp": 1}, headers=key), 422, "idempotency-mismatch")


def test_of_many_that_want_one_upload_one_gets_it(service, client) -> None:
    data = os.urandom(100_000)
    sent = {"upload_id": upload(client, data)}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/slides", json=sent), range(10)))
    made = [answer for answer in answers if answer.status_code == 202]
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert stored(service, made[0].json()["id"]).read_bytes() == data


def test_an_upload_of_no_bytes_is_the_workers_to_refuse(service, client) -> None:
    answer = client.put("/v1/slides/content", content=b"")
    assert answer.status_code == 202
    assert stored(service, answer.json()["id"]).read_bytes() == b""


def test_a_slide_is_registered_where_it_lies(service, client, root) -> None:
    answer = client.post("/v1/slides", json={"uri": f"file:{root}/./a b.svs", "ids": {"external_id": "7"}})
    assert answer.status_code == 202, answer.text
    assert answer.json()["filename"] == "a b.svs"
    assert str(root) not in answer.text
    assert str(root) not in client.get("/v1/slides").text
    with service.ledger.read() as connection:
        slide = get_slide(connection, "lab", answer.json()["id"])
    assert (slide.origin, slide.uri) == ("reference", f"file://{root}/a%20b.svs")
    assert client.delete(answer.headers["Location"]).status_code == 204
    assert (root / "a b.svs").exists()


@pytest.mark.parametrize(
    "uri", ["file:/etc/passwd", "file:/etc/nothing", "file:{root}/../x", "s3://b/k", "http://h/x", "x"]
)
def test_from_elsewhere_nothing_is_registered(client, root, uri) -> None:
    answer = client.post("/v1/slides", json={"uri": uri.format(root=root)})
    check_problem(answer, 422, "reference-not-allowed")
    assert str(root) not in answer.text


def test_bytes_are_put_with_a_length_or_in_chunks(service, client) -> None:
    data = os.urandom(5_000_000)
    said = {"filename": "x.svs", "mpp": "0.5", "stain": "ihc", "accession": "A9", "slide": "3"}
    pieces = (data[i : i + 99_999] for i in range(0, len(data), 99_999))
    # The same bytes for another block are another slide: nothing of an older order is told of a new one.
    for content, block, status in ((data, "1", 202), (pieces, "1", 200), (data, "2", 202)):
        answer = client.put("/v1/slides/content", params=said | {"block": block}, content=content)
        assert answer.status_code == status, answer.text
        told = answer.json()
        assert told["ids"] | {"accession": "A9", "slide": "3", "block": block} == told["ids"]
    assert (told["filename"], told["mpp"], told["stain"]) == ("x.svs", 0.5, "ihc")
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert stored(service, told["id"]).read_bytes() == data


def test_bytes_that_are_too_many_are_refused_and_nothing_stays(service, client) -> None:
    before = set(service.settings.uploads_folder.iterdir())
    check_problem(client.put("/v1/slides/content", content=bytes(MOST + 1)), 413, "upload-too-large")
    check_problem(
        client.put("/v1/slides/content", content=(bytes(1 << 20) for _ in range(40))), 413, "upload-too-large"
    )
    check_problem(client.put("/v1/slides/content", params={"colour": "red"}, content=b"x"), 422, "request-invalid")
    assert set(service.settings.uploads_folder.iterdir()) == before


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("", b"", b"411"),
        ("Content-Length: 10\r\n", b"12345", b""),
        ("Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n", b""),
    ],
)
def test_bytes_that_break_off_make_no_slide(service, client, headers, body, status) -> None:
    before, address = set(service.settings.uploads_folder.iterdir()), urlsplit(service.url)
    count = len(client.get("/v1/slides", params={"limit": 200}).json()["items"])
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        head = f"PUT /v1/slides/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key()}\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)
        if status:
            assert connection.recv(100).startswith(b"HTTP/1.1 " + status)
        else:
            wait_for(lambda: len(set(service.settings.uploads_folder.iterdir()) - before), 30)
    wait_for(lambda: set(service.settings.uploads_folder.iterdir()) == before, 30)
    assert len(client.get("/v1/slides", params={"limit": 200}).json()["items"]) == count


def test_slides_are_listed_page_by_page(service) -> None:
    with service.client("lister") as client:
        names = [
            client.put(
                "/v1/slides/content", params={"accession": f"A{n % 2}", "external_id": str(n)}, content=b"%d" % n
            ).json()["id"]
            for n in range(5)
        ]
        answer = client.get("/v1/slides", params={"limit": 2})
        seen = [item["id"] for item in answer.json()["items"]]
        while "Link" in answer.headers:
            assert answer.links["next"]["url"].startswith("/v1/slides?")
            answer = client.get(answer.links["next"]["url"])
            seen += [item["id"] for item in answer.json()["items"]]
        assert seen == names[::-1]
        found = client.get("/v1/slides", params={"accession": "A1"}).json()["items"]
        assert [item["id"] for item in found] == [names[3], names[1]]
        assert [item["id"] for item in client.get("/v1/slides", params={"external_id": "4"}).json()["items"]] == names[
            4:
        ]
        for limit in (0, 201):
            check_problem(client.get("/v1/slides", params={"limit": limit}), 422, "request-invalid")
        check_problem(client.get("/v1/slides", params={"cursor": "junk"}), 400, "cursor-invalid")


def test_a_slide_is_waited_for(service, client) -> None:
    url = client.put("/v1/slides/content", content=os.urandom(9)).headers["Location"]
    first = client.get(url, params={"wait": 0.1})
    assert (first.status_code, first.json()["state"]) == (200, "validating")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert client.get(url, headers=tag).status_code == 304
    info = {
        "mpp": 0.5,
        "mpp_source": "file",
        "format": "png",
        "vendor": "v",
        "width_px": 4,
        "height_px": 3,
        "levels": [{}],
    }

    def validate() -> None:
        with service.ledger.write() as connection:
            move_slide(connection, url.rsplit("/", 1)[1], "ready", info=info)

    timer = threading.Timer(0.5, validate)
    timer.start()
    told = client.get(url, params={"wait": 30}, headers=tag)
    timer.join()
    assert told.status_code == 200
    assert {
        "state": "ready",
        "mpp": 0.5,
        "mpp_source": "file",
        "width_px": 4,
        "levels": 1,
    }.items() <= told.json().items()
    assert told.headers["ETag"] != first.headers["ETag"]
    assert "Retry-After" not in told.headers
    check_problem(client.get(url, params={"wait": 31}), 422, "request-invalid")


def test_a_refused_slide_says_why(service, client) -> None:
    url = client.put("/v1/slides/content", content=os.urandom(9)).headers["Location"]
    problem = {"type": "urn:histoserve:mpp-missing", "title": "t", "detail": "d", "blame": "user_error", "remedy": "r"}
    with service.ledger.write() as connection:
        move_slide(connection, url.rsplit("/", 1)[1], "refused", problem=problem)
    told = client.get(url, params={"wait": 30}).json()
    assert told["state"] == "refused"
    assert problem.items() <= told["problem"].items()


def test_a_slide_is_deleted_unless_it_is_in_use(service, client) -> None:
    answer = client.put("/v1/slides/content", content=os.urandom(9))
    url, name = answer.headers["Location"], answer.json()["id"]
    path = stored(service, name)
    order = {"package": "toy@1.0.0", "parameters": {}, "regions": None, "mpp": None, "provider": None}
    with service.ledger.write() as connection:
        job = create_job(connection, "lab", NewJob(name, "toy@1.0.0", order), max_queued=10)
    check_problem(client.delete(url), 409, "state-conflict")
    assert client.get(url).status_code == 200
    assert path.exists()
    with service.ledger.write() as connection:
        cancel_job(connection, "lab", job.id)
    with service.client("elsewhere") as foreign:
        check_problem(foreign.delete(url), 404, "not-found")
        check_problem(foreign.get(url), 404, "not-found")
    with service.client(scopes=("read",)) as reader:
        check_problem(reader.delete(url), 403, "forbidden")
    assert client.delete(url).status_code == 204
    assert not path.exists()
    check_problem(client.get(url), 410, "gone")
    check_problem(client.delete(url), 410, "gone")
    with service.ledger.read() as connection:
        actions = [row.action for row in list_entries(connection, limit=10_000) if row.subject == name]
    assert actions == ["slide.create", "slide.delete"]


def test_a_worker_is_rung_for_when_the_slide_is_written(tmp_path) -> None:
    with valkey_server() as valkey, served(made_settings(tmp_path, redis_url=valkey.url)) as service:
        with service.client() as client:
            name = client.put("/v1/slides/content", content=b"abc").json()["id"]
        assert service.app.state.deployment.doorbell.waiting() == {f"slide:{name}"}
