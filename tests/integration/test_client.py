"""The Python client against the real service, with connections that break."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from models.errors import IntegrityError, MppMissingError, OutputConflictError
from service.client import Client
from service.client.calls import Calls, Patience
from service.client.client import problem_of
from service.client.errors import FileChangedError, ServiceAwayError
from service.client.uploading import PIECE_BYTES
from service.wire import JobSent, OrderIds
from tests.integration.ledger.made import made_job, made_slide, start
from tests.serving import Served, made_settings, served
from workers.contract.errors import NoResultError, ResultNotReadyError, SlideChangedError, UnknownError
from workers.ledger.jobs import Artifact
from workers.ledger.leases import Published, agree_plan, claim_band, commit_band, fail_job, publish

FILES = {
    "result.json": b'{"a": 1}',
    "maps/m.ome.zarr/0/c/0/0": os.urandom(3_000_000),
    "maps/m.ome.zarr/zarr.json": b"{}",
    "empty.csv": b"",
}
NUCLEI = "nuclei@1.0.0"
SIZE = 2 * PIECE_BYTES + 12_345


class Breaking(httpx.HTTPTransport):
    """A real connection that breaks where `breaks` says so: before the request, after it, or inside the answer."""

    def __init__(self, breaks: Callable[[httpx.Request, int], str | int | None]) -> None:
        super().__init__()
        self._breaks = breaks
        self.requests: list[tuple[str, str, str | None]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path, request.headers.get("Range")))
        how = self._breaks(request, len(self.requests))
        if how == "before":
            raise httpx.ConnectError("broken before")
        answer = super().handle_request(request)
        if how == "after":
            answer.close()
            raise httpx.ReadError("broken after")
        if isinstance(how, int):
            answer.stream = Cut(answer.stream, how)
        return answer


class Cut(httpx.SyncByteStream):
    """A stream that ends too early."""

    def __init__(self, stream, length: int) -> None:
        self._stream, self._left = stream, length

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            yield data[: self._left]
            self._left -= len(data)
            if self._left <= 0:
                raise httpx.ReadError("broken inside")

    def close(self) -> None:
        self._stream.close()


@pytest.fixture
def service(tmp_path) -> Iterator[Served]:
    with served(made_settings(tmp_path / "home")) as service:
        yield service


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "histoserve" / "uploads"


@pytest.fixture
def key(service) -> str:
    return service.key()


@pytest.fixture
def client(service, key) -> Iterator[Client]:
    with Client(service.url, key) as client:
        yield client


@pytest.fixture
def slide(tmp_path) -> Path:
    path = tmp_path / "slide.svs"
    path.write_bytes(os.urandom(SIZE))
    return path


def breaking(client: Client, breaks: Callable[[httpx.Request, int], str | int | None]) -> Breaking:
    """Let the client's connection break, and its pauses be none."""
    transport = Breaking(breaks)
    client.close()
    client.calls = Calls(client.calls.place, Patience(tries=4), transport, lambda _: None)
    return transport


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(service: Served, upload_id: str) -> bytes:
    return (service.settings.uploads_folder / upload_id).read_bytes()


@pytest.mark.parametrize("how", ["before", "after"])
def test_an_upload_goes_on_whatever_request_of_it_breaks(service, client, slide, how) -> None:
    transport = breaking(client, lambda _, n: how if n % 3 == 1 else None)
    told = []
    uploaded = client.upload(slide, lambda done, size: told.append((done, size)))
    assert stored(service, uploaded.id) == slide.read_bytes()
    assert (uploaded.sha256, uploaded.size_bytes) == (sha256(slide), SIZE)
    assert told[0] == (0, SIZE)
    assert told[-1] == (SIZE, SIZE)
    assert {"POST", "PATCH", "HEAD"} == {method for method, _, _ in transport.requests}


def test_an_upload_that_never_gets_on_ends_with_words(client, slide) -> None:
    transport = breaking(client, lambda request, _: "before" if request.method == "PATCH" else None)
    with pytest.raises(ServiceAwayError, match="broken before"):
        client.upload(slide)
    assert [method for method, _, _ in transport.requests].count("PATCH") == 4


def test_another_process_goes_on_with_an_upload(service, key, slide, cache) -> None:
    def stop_in_the_middle(done: int, _: int) -> None:
        if done:
            raise KeyboardInterrupt

    with Client(service.url, key) as client, pytest.raises(KeyboardInterrupt):
        client.upload(slide, stop_in_the_middle)
    assert len(list(cache.iterdir())) == 1
    told: list[int] = []
    with Client(service.url, key) as client:
        added = client.add_slide(slide, ids=OrderIds(accession="A-1"), progress=lambda done, _: told.append(done))
    assert told == [PIECE_BYTES, 2 * PIECE_BYTES, SIZE]
    assert (added.sha256, added.size_bytes, added.ids.accession) == (sha256(slide), SIZE, "A-1")
    assert list(cache.iterdir()) == []


def test_an_upload_that_is_no_longer_there_begins_anew(service, client, slide, cache) -> None:
    uploaded = client.upload(slide)
    with service.client() as http:
        http.delete(f"/v1/uploads/{uploaded.id}", headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
    again = client.upload(slide)
    assert again.id != uploaded.id
    assert client.add_slide(slide).sha256 == sha256(slide)
    assert list(cache.iterdir()) == []


def test_an_upload_that_became_a_slide_is_the_same_slide(client, slide) -> None:
    """Killed between the registration and its answer: the same request has the same answer."""
    uploaded = client.upload(slide)
    first = client.register(uploaded, mpp=0.5)
    assert client.add_slide(slide, mpp=0.5).id == first.id
    assert client.add_slide(slide, mpp=0.25).id != first.id


def test_a_file_that_changes_on_the_way_is_refused(client, slide, cache) -> None:
    def change(done: int, _: int) -> None:
        if done == PIECE_BYTES:
            with slide.open("r+b") as file:
                file.write(b"changed")
            os.utime(slide, ns=(1, 1))

    with pytest.raises(FileChangedError):
        client.upload(slide, change)
    slide.write_bytes(slide.read_bytes())
    assert list(cache.iterdir()) == []


def test_the_service_refuses_other_bytes_than_were_read_here(service, client, slide) -> None:
    from dataclasses import replace

    with pytest.raises(SlideChangedError):
        client.register(replace(client.upload(slide), sha256="0" * 64))


def test_a_lost_answer_makes_no_second_job_slide_or_batch(service, client, tmp_path) -> None:
    path = tmp_path / "small.svs"
    path.write_bytes(b"small")
    breaking(client, lambda request, n: "after" if request.method == "POST" and n % 2 else None)
    slide = client.add_slide(path)
    client.submit(slide, model=NUCLEI, ids=OrderIds(external_id="E-1"))
    client.submit_batch([JobSent(slide_id=slide.id, model=NUCLEI), JobSent(slide_id="sld_none", model=NUCLEI)])
    assert len(list(client.slides())) == 1
    assert len(list(client.jobs())) == 2
    assert [job.ids.external_id for job in client.jobs(external_id="E-1")] == ["E-1"]


def test_a_batch_tells_of_each_item(service, client) -> None:
    slide = made_slide(service.ledger)
    batch = client.submit_batch([JobSent(slide_id=slide.id, model=NUCLEI), JobSent(slide_id="sld_no", model=NUCLEI)])
    assert client.batch(batch.id).states == {"queued": 1, "refused": 1}


def test_a_job_is_waited_for_watched_cancelled_and_done_again(service, client) -> None:
    slide = made_slide(service.ledger)
    job = client.submit(slide.id, model=NUCLEI, parameters={"min_area_um2": 20}, priority="stat")
    assert (job.state, job.parameters, job.priority) == ("queued", {"min_area_um2": 20}, "stat")
    seen: list[str] = []
    waiting = threading.Thread(target=lambda: seen.append(client.wait(job.id).state))
    waiting.start()
    assert client.wait(job.id, limit_s=0).state == "queued"
    assert client.cancel(job.id).state == "cancelled"
    waiting.join(30)
    assert seen == ["cancelled"]
    assert [event.kind for event in client.watch(job.id)] == ["queued", "cancelled"]
    assert list(client.watch(job.id, after=2)) == []
    again = client.retry(job.id)
    assert (again.retry_of, again.state) == (job.id, "queued")


def test_events_come_once_each_though_the_stream_breaks(service, client) -> None:
    job = made_job(service.ledger)
    start(service.ledger, job.id)
    breaking(client, lambda _, n: (150 * n) if n < 4 else None)
    events = client.watch(job.id)
    kinds = [next(events).kind, next(events).kind]
    with service.ledger.write() as connection:
        fail_job(connection, job.id, MppMissingError("none", "Give it.").as_problem())
    kinds += [event.kind for event in events]
    assert kinds == ["queued", "attempt-started", "failed"]
    error = problem_of(client.job(job.id))
    assert isinstance(error, MppMissingError)
    assert (error.detail, error.remedy) == ("none", "Give it.")
    with pytest.raises(NoResultError):
        client.results(job.id)


def test_what_is_not_there_is_told_as_such(client, service) -> None:
    with pytest.raises(UnknownError, match="job_none"):
        client.job("job_none")
    with pytest.raises(ResultNotReadyError):
        client.download(made_job(service.ledger).id, "nowhere")
    assert not Path("nowhere").exists()


@pytest.fixture
def done(service) -> str:
    """A job that succeeded, with its files in the store."""
    return make_result(service, FILES)


def make_result(service: Served, files: dict[str, bytes]) -> str:
    attempt = start(service.ledger, made_job(service.ledger).id)
    prefix, found = f"jobs/{attempt.job_id}/results-1-1", []
    for path, data in files.items():
        place = place_of(service, attempt.job_id, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        found.append(Artifact(attempt.job_id, path, hashlib.sha256(data).hexdigest(), len(data), "text/plain"))
    with service.ledger.write() as connection:
        agree_plan(connection, attempt, {}, [1], 60.0)
        commit_band(connection, attempt, claim_band(connection, attempt), {})
        published = Published(prefix, {"notice": "n", "scores": {}, "regions": []}, found)
        publish(connection, attempt, claim_band(connection, attempt), published)
    return attempt.job_id


def place_of(service: Served, job_id: str, path: str) -> Path:
    place: Path = service.app.state.deployment.store.local_path(f"jobs/{job_id}/results-1-1/{path}")
    return place


def held(folder: Path) -> dict[str, bytes]:
    """What a folder holds, without the mark."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found.pop(".histoserve-job")
    return found


def test_a_download_goes_on_where_it_broke_off(client, done, tmp_path) -> None:
    def breaks(request: httpx.Request, _: int) -> int | None:
        return 1_300_000 if request.url.path.endswith("/0/c/0/0") else None

    transport = breaking(client, breaks)
    told: list[int] = []
    client.download(done, tmp_path / "out", lambda bytes_done, _: told.append(bytes_done))
    assert held(tmp_path / "out") == FILES
    ranges = [wanted for _, path, wanted in transport.requests if path.endswith("/0/c/0/0")]
    assert ranges == [None, "bytes=1300000-", "bytes=2600000-"]
    assert told[-1] == sum(map(len, FILES.values()))


def test_a_second_download_brings_what_is_missing_or_was_altered_here(client, done, tmp_path) -> None:
    out = tmp_path / "out"
    client.download(done, out)
    (out / "maps/m.ome.zarr/zarr.json").unlink()
    (out / "result.json").write_bytes(b'{"a": 2}')
    (out / "maps/m.ome.zarr/0/c/0/0.part").write_bytes(b"an old part")
    transport = breaking(client, lambda _request, _n: None)
    client.download(done, out)
    assert {path.rsplit("/", 1)[1] for _, path, _ in transport.requests[1:]} == {"zarr.json", "result.json"}
    (out / "maps/m.ome.zarr/0/c/0/0").unlink()
    client.download(done, out)
    assert held(out) == FILES


@pytest.mark.parametrize("altered", [b'{"a": 2}', b"short"])
def test_a_file_that_was_altered_in_the_store_is_an_error(service, client, done, tmp_path, altered) -> None:
    place_of(service, done, "result.json").write_bytes(altered)
    with pytest.raises(IntegrityError, match=r"result\.json"):
        client.download(done, tmp_path / "out")
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_folder_that_holds_anything_else_is_left_alone(service, client, done, tmp_path) -> None:
    client.download(done, tmp_path / "out")
    other = make_result(service, {"result.json": b"other"})
    with pytest.raises(OutputConflictError, match=done):
        client.download(other, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputConflictError, match="other files"):
        client.download(other, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]
    assert held(tmp_path / "out") == FILES
