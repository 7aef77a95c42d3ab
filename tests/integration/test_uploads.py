"""tus over real sockets: every answer it can give, and what is on the disk then."""

import base64
import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.uploads.files import UploadFile
from service.uploads.sweep import drop_expired
from tests.servers import wait_for
from tests.serving import Served, database, made_settings, served
from workers.ledger.audit import find_break, list_entries
from workers.ledger.uploads import get_upload, use_upload

TUS = {"Tus-Resumable": "1.0.0"}
BODY = {"Content-Type": "application/offset+octet-stream"}
MOST = 64 << 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request, tmp_path_factory) -> Iterator[Served]:
    with database(request.param) as url:
        home = tmp_path_factory.mktemp("home")
        with served(made_settings(home, max_upload_bytes=MOST, database_url=url)) as running:
            yield running


@pytest.fixture
def client(service) -> Iterator[httpx.Client]:
    with service.client() as made:
        yield made


def begin(client: httpx.Client, length: int, **headers: str) -> str:
    answer = client.post("/v1/uploads", headers=TUS | {"Upload-Length": str(length)} | headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def send(client: httpx.Client, url: str, offset: int, content, **headers: str) -> httpx.Response:
    return client.patch(url, headers=TUS | BODY | {"Upload-Offset": str(offset)} | headers, content=content)


def offset_of(client: httpx.Client, url: str) -> int:
    return int(client.head(url, headers=TUS).headers["Upload-Offset"])


def checksum(algorithm: str, data: bytes) -> dict[str, str]:
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"}


def path_of(service: Served, url: str) -> Path:
    return service.settings.uploads_folder / url.rsplit("/", 1)[1]


def check_problem(answer: httpx.Response, status: int, slug: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.json()["type"] == f"urn:histoserve:{slug}"
    assert answer.json()["status"] == status


def test_abilities_are_told_without_a_key(service) -> None:
    answer = httpx.options(f"{service.url}/v1/uploads", trust_env=False)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,checksum,expiration,termination"
    assert answer.headers["Tus-Max-Size"] == str(MOST)
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,md5"


def test_bytes_come_in_two_requests_and_are_complete(service, client) -> None:
    data = os.urandom(3_000_000)
    named = f"filename {base64.b64encode('Fäll 1.svs'.encode()).decode()},empty"
    url = begin(client, len(data), **{"Upload-Metadata": named})
    first = send(client, url, 0, data[:1_234_567])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "1234567")
    assert "Upload-Expires" in first.headers
    told = client.head(url, headers=TUS)
    assert told.status_code == 200
    assert told.headers["Upload-Length"] == "3000000"
    assert told.headers["Upload-Metadata"] == named
    assert told.headers["Cache-Control"] == "no-store"
    assert send(client, url, 1_234_567, iter([data[1_234_567:2_000_000], data[2_000_000:]])).status_code == 204
    assert path_of(service, url).read_bytes() == data
    with service.ledger.read() as connection:
        upload = get_upload(connection, "lab", url.rsplit("/", 1)[1])
    assert (upload.state, upload.sha256) == ("complete", hashlib.sha256(data).hexdigest())
    assert send(client, url, len(data), b"").status_code == 204
    check_problem(send(client, url, len(data), b"x"), 413, "upload-too-large")


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"Upload-Length": "5"}, 412, "tus-version"),
        ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, 412, "tus-version"),
        (TUS, 400, "bad-request"),
        (TUS | {"Upload-Length": "-5"}, 400, "bad-request"),
        (TUS | {"Upload-Length": "5,5"}, 400, "bad-request"),
        (TUS | {"Upload-Defer-Length": "1"}, 400, "bad-request"),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "a b c"}, 400, "bad-request"),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "a \x80"}, 400, "bad-request"),
        (TUS | {"Upload-Length": str(MOST + 1)}, 413, "upload-too-large"),
        (TUS | {"Upload-Length": "9" * 18}, 413, "upload-too-large"),
    ],
)
def test_an_upload_that_is_not_well_begun_is_refused(client, headers, status, slug) -> None:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = client.post("/v1/uploads", headers=sent)
    check_problem(answer, status, slug)
    assert ("Tus-Version" in answer.headers) == (status == 412)


def test_no_bytes_at_all_are_complete_at_once(client) -> None:
    answer = client.post("/v1/uploads", headers=TUS | {"Upload-Length": "0"})
    assert answer.json()["state"] == "complete"
    assert answer.json()["sha256"] == hashlib.sha256(b"").hexdigest()


def test_creation_with_upload(service, client) -> None:
    answer = client.post("/v1/uploads", headers=TUS | BODY | {"Upload-Length": "6"}, content=b"abc")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "3")
    assert path_of(service, answer.headers["Location"]).read_bytes() == b"abc"
    wrong = client.post("/v1/uploads", headers=TUS | {"Upload-Length": "6"}, content=b"abc")
    check_problem(wrong, 415, "media-type")


def test_a_body_that_is_refused_at_creation_leaves_nothing(service, client) -> None:
    before = set(service.settings.uploads_folder.iterdir())
    headers = TUS | BODY | {"Upload-Length": "6"} | checksum("md5", b"other")
    check_problem(client.post("/v1/uploads", headers=headers, content=b"abc"), 460, "checksum-mismatch")
    assert set(service.settings.uploads_folder.iterdir()) == before


def test_the_same_key_begins_one_upload(client) -> None:
    headers = TUS | BODY | {"Upload-Length": "6", "Idempotency-Key": "k1"}
    first = client.post("/v1/uploads", headers=headers, content=b"abc")
    again = client.post("/v1/uploads", headers=headers, content=b"abc")
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Upload-Offset"] == "3"
    other = client.post("/v1/uploads", headers=headers | {"Upload-Length": "7"})
    check_problem(other, 422, "idempotency-mismatch")


def test_bytes_that_do_not_fit_are_refused_and_the_offset_stays(client) -> None:
    url = begin(client, 10)
    assert send(client, url, 0, b"1234").status_code == 204
    check_problem(client.patch(url, headers=BODY | {"Upload-Offset": "4"}, content=b"x"), 412, "tus-version")
    check_problem(client.patch(url, headers=TUS | {"Upload-Offset": "4"}, content=b"x"), 415, "media-type")
    check_problem(client.patch(url, headers=TUS | BODY, content=b"x"), 400, "bad-request")
    check_problem(send(client, url, -4, b"x"), 400, "bad-request")
    check_problem(send(client, url, 3, b"x"), 409, "offset-conflict")
    check_problem(send(client, url, 5, b"x"), 409, "offset-conflict")
    check_problem(send(client, url, 4, b"1234567"), 413, "upload-too-large")
    check_problem(send(client, url, 4, iter([b"1234567"])), 413, "upload-too-large")
    assert offset_of(client, url) == 4


def test_a_large_body_that_is_refused_at_once_is_answered(client) -> None:
    url = begin(client, MOST)
    check_problem(send(client, url, 1, os.urandom(40 << 20)), 409, "offset-conflict")


def test_a_checksum_keeps_all_or_nothing(service, client) -> None:
    data = os.urandom(20 << 20)
    url = begin(client, len(data))
    for algorithm in ("sha256", "sha1", "md5"):
        check_problem(send(client, url, 0, data, **checksum(algorithm, b"other")), 460, "checksum-mismatch")
        assert offset_of(client, url) == 0
        assert path_of(service, url).stat().st_size == 0
    check_problem(send(client, url, 0, data, **{"Upload-Checksum": "crc32 AAAAAA=="}), 400, "checksum-unsupported")
    check_problem(send(client, url, 0, data, **{"Upload-Checksum": "sha1 ?"}), 400, "bad-request")
    assert send(client, url, 0, data, **checksum("sha1", data)).status_code == 204
    assert path_of(service, url).read_bytes() == data


def test_one_request_writes_at_a_time(service, client) -> None:
    url = begin(client, 10)
    held = UploadFile(service.settings.uploads_folder, url.rsplit("/", 1)[1])
    answer = send(client, url, 0, b"x")
    held.close()
    check_problem(answer, 423, "upload-locked")
    assert "Retry-After" in answer.headers
    assert send(client, url, 0, b"x").status_code == 204


def test_a_dropped_upload_is_gone(service, client) -> None:
    url = begin(client, 10)
    send(client, url, 0, b"x")
    assert client.delete(url, headers=TUS).status_code == 204
    assert not path_of(service, url).exists()
    check_problem(client.delete(url, headers=TUS), 410, "gone")
    check_problem(send(client, url, 1, b"x"), 410, "gone")
    assert client.head(url, headers=TUS).status_code == 410


def test_a_slides_upload_cannot_be_dropped(service, client) -> None:
    url = begin(client, 0)
    with service.ledger.write() as connection:
        use_upload(connection, "lab", url.rsplit("/", 1)[1])
    check_problem(client.delete(url, headers=TUS), 409, "state-conflict")


def test_others_see_nothing(service, client) -> None:
    url = begin(client, 10)
    with service.client("elsewhere") as foreign:
        assert foreign.head(url, headers=TUS).status_code == 404
        check_problem(send(foreign, url, 0, b"x"), 404, "not-found")
        check_problem(foreign.delete(url, headers=TUS), 404, "not-found")
    check_problem(send(client, "/v1/uploads/upl_none", 0, b"x"), 404, "not-found")
    assert send(client, "/v1/uploads/..%2f..%2fkey", 0, b"x").status_code == 404
    with service.client(scopes=("read",)) as reader:
        check_problem(reader.post("/v1/uploads", headers=TUS | {"Upload-Length": "1"}), 403, "forbidden")
    nobody = httpx.post(f"{service.url}/v1/uploads", headers=TUS | {"Upload-Length": "1"}, trust_env=False)
    check_problem(nobody, 401, "unauthorized")


def test_twenty_at_once(service, client) -> None:
    bodies = [os.urandom(700_000 + n) for n in range(20)]

    def upload(data: bytes) -> str:
        with service.client() as own:
            url = begin(own, len(data))
            for start in range(0, len(data), 200_000):
                assert send(own, url, start, data[start : start + 200_000]).status_code == 204
        return url

    with ThreadPoolExecutor(20) as pool:
        urls = list(pool.map(upload, bodies))
    assert [path_of(service, url).read_bytes() for url in urls] == bodies


def half_sent(service: Served, url: str, length: int, data: bytes, **headers: str) -> socket.socket:
    """The connection of a PATCH that announces `length` bytes and has sent `data`."""
    address = urlsplit(service.url)
    lines = TUS | BODY | {"Upload-Offset": "0", "Content-Length": str(length)} | headers
    lines |= {"Host": address.netloc, "Authorization": f"Bearer {service.key()}"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection((str(address.hostname), int(address.port or 0)))
    connection.sendall(f"PATCH {url} HTTP/1.1\r\n{head}\r\n".encode() + data)
    return connection


def test_what_came_before_the_client_went_away_is_kept(service, client) -> None:
    data = os.urandom(3_000_000)
    url = begin(client, len(data))
    half_sent(service, url, len(data), data[:2_222_222]).close()
    wait_for(lambda: offset_of(client, url) == 2_222_222, 30)
    assert send(client, url, 2_222_222, data[2_222_222:]).status_code == 204
    assert path_of(service, url).read_bytes() == data


def test_a_client_that_went_away_before_its_checksum_was_checked_leaves_nothing(service, client) -> None:
    url = begin(client, 3_000_000)
    half_sent(service, url, 3_000_000, b"x" * 2_000_000, **checksum("md5", b"")).close()
    wait_for(lambda: send(client, url, 0, b"").status_code == 204, 30)
    assert offset_of(client, url) == 0
    assert path_of(service, url).stat().st_size == 0


def test_an_upload_that_is_dropped_while_bytes_come_takes_no_more(service, client) -> None:
    url = begin(client, 3_000_000)
    with half_sent(service, url, 3_000_000, b"x" * 1_500_000) as connection:
        wait_for(lambda: path_of(service, url).exists() and path_of(service, url).stat().st_size, 30)
        assert client.delete(url, headers=TUS).status_code == 204
        connection.sendall(b"x" * 1_500_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 409")
    assert not path_of(service, url).exists()


def test_a_client_that_sends_nothing_any_more_is_let_go_and_nothing_is_lost(service, client) -> None:
    desk, service.app.state.desk = service.app.state.desk, replace(service.app.state.desk, idle_s=0.3)
    try:
        url = begin(client, 100)
        with half_sent(service, url, 100, b"x" * 50) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
    finally:
        service.app.state.desk = desk
    assert offset_of(client, url) == 50


def test_giant_headers_harm_nobody(service, client) -> None:
    url = begin(client, 10)
    for size in (8_000, 200_000):
        try:
            answer = client.head(url, headers=TUS | {"X-Junk": "x" * size})
        except httpx.HTTPError:
            assert size > 64 << 10
        else:
            assert answer.status_code == (200 if size < 64 << 10 else 400)
    check_problem(client.post("/v1/uploads", headers=TUS | {"Upload-Length": "1" * 9000}), 400, "bad-request")
    assert offset_of(client, url) == 0


def test_writes_are_in_the_audit(service, client) -> None:
    url = begin(client, 3)
    send(client, url, 0, b"abc")
    name = url.rsplit("/", 1)[1]
    client.delete(url, headers=TUS)
    with service.ledger.read() as connection:
        found = [row for row in list_entries(connection, limit=10_000) if row.subject == name]
        assert find_break(connection) is None
    assert [row.action for row in found] == ["upload.create", "upload.complete", "upload.drop"]
    assert found[1].detail == {"sha256": hashlib.sha256(b"abc").hexdigest()}


def test_started_again_it_goes_on_from_the_offset(tmp_path) -> None:
    settings = made_settings(tmp_path)
    with served(settings) as service, service.client() as client:
        url = begin(client, 10)
        send(client, url, 0, b"12345")
        with path_of(service, url).open("ab") as file:
            file.write(b"never acknowledged")
    with served(settings) as service, service.client() as client:
        assert offset_of(client, url) == 5
        assert send(client, url, 5, b"67890").status_code == 204
        assert path_of(service, url).read_bytes() == b"1234567890"


def test_what_expired_is_removed(tmp_path) -> None:
    settings = made_settings(tmp_path, upload_expiry_s=1.0)
    with served(settings) as service, service.client() as client:
        urls = [begin(client, length) for length in (10, 1)]
        for url in urls:
            send(client, url, 0, b"x")
        time.sleep(1.1)
        assert client.head(urls[0], headers=TUS).status_code == 410
        removed = drop_expired(service.app.state.deployment)
        assert sorted(removed) == sorted(url.rsplit("/", 1)[1] for url in urls)
        assert list(settings.uploads_folder.iterdir()) == []
        assert drop_expired(service.app.state.deployment) == []
        check_problem(send(client, urls[0], 1, b"x"), 410, "gone")


def test_files_without_an_upload_are_removed_when_they_are_old(service, client) -> None:
    folder = service.settings.uploads_folder
    used, live = begin(client, 1), begin(client, 2)
    for url in (used, live):
        send(client, url, 0, b"x")
    with service.ledger.write() as connection:
        use_upload(connection, "lab", used.rsplit("/", 1)[1])
    for name in ("old", "new", live.rsplit("/", 1)[1]):
        (folder / name).touch()
    long_ago = time.time() - service.settings.upload_expiry_s - 60
    for name in ("old", live.rsplit("/", 1)[1]):
        os.utime(folder / name, (long_ago, long_ago))
    assert sorted(drop_expired(service.app.state.deployment)) == sorted(["old", used.rsplit("/", 1)[1]])
    assert path_of(service, live).read_bytes() == b"x"
    (folder / "new").unlink()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_keeps_the_offset(tmp_path, small_disk) -> None:
    elsewhere = {"database_url": f"sqlite:///{tmp_path}/ledger.sqlite", "store_url": f"file://{tmp_path}/store"}
    data = os.urandom(6 << 20)
    with served(made_settings(small_disk, **elsewhere)) as service, service.client() as client:
        url = begin(client, len(data))
        check_problem(client.post("/v1/uploads", headers=TUS | {"Upload-Length": str(3 << 20)}), 507, "disk-full")
        assert send(client, url, 0, data[: 2 << 20]).status_code == 204
        (small_disk / "filler").write_bytes(b"x" * (4 << 20))
        check_problem(send(client, url, 2 << 20, data[2 << 20 :]), 507, "disk-full")
        kept = offset_of(client, url)
        assert kept >= 2 << 20
        (small_disk / "filler").unlink()
        assert send(client, url, kept, data[kept:]).status_code == 204
        assert path_of(service, url).read_bytes() == data
        client.delete(url, headers=TUS)
        assert begin(client, 3 << 20)
