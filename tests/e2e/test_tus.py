"""An upload by a tus client we did not write, to a service that is killed again and again."""

import hashlib
import json
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.uploader import Uploader

from service.uploads.pour import GATHER_BYTES
from service.uploads.reception import PIECE_BYTES
from tests.e2e.command import HISTOSERVE
from tests.servers import free_port
from tests.serving import NOWHERE
from workers.contract.children import Command, start_child
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.keys import create_key
from workers.ledger.slides import get_slide
from workers.ledger.uploads import get_upload

KILLS = 6
MIB = 1 << 20


@dataclass
class Service:
    """`histoserve serve` on one port and one folder, started again after every end."""

    home: Path
    port: int
    ledger: Ledger
    key: str
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {"HISTOSERVE_HOME": str(self.home), "HISTOSERVE_REDIS_URL": NOWHERE, "HISTOSERVE_RESERVE_BYTES": "0"}
        command = Command("serve", [HISTOSERVE, "serve", "--port", str(self.port), "--json"], env)
        self.process = start_child(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline())["url"] == self.url

    def kill(self) -> None:
        """SIGKILL, and nothing else."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def acknowledged(self, upload_id: str) -> tuple[int, bytes]:
        """What the ledger says, and what is in the file."""
        with self.ledger.read() as connection:
            offset = get_upload(connection, "lab", upload_id).offset_bytes
        path = self.home / "uploads" / upload_id
        return offset, path.read_bytes() if path.exists() else b""


@pytest.fixture
def service(tmp_path) -> Iterator[Service]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    migrate(url)
    ledger = open_ledger(url)
    with ledger.write() as connection:
        key = create_key(connection, "lab", "test", ("read", "write"))[1]
    made = Service(tmp_path, free_port(), ledger, key)
    made.start()
    yield made
    if made.process is not None:
        made.kill()
    ledger.close()


@contextmanager
def uploader(service: Service, path: Path, chunk: int, url: str | None = None) -> Iterator[Uploader]:
    client = TusClient(f"{service.url}/v1/uploads", headers={"Authorization": f"Bearer {service.key}"})
    # Given a path it would open the file for every request and close none.
    with path.open("rb") as file:
        yield client.uploader(
            file_stream=file, chunk_size=chunk, metadata={"filename": path.name}, url=url, upload_checksum=chunk < MIB
        )


def send_while_killing(service: Service, path: Path, chance: random.Random, chunk: int) -> str:
    """The upload's URL; the service is killed at random moments while the client sends, and started again."""
    with uploader(service, path, chunk) as client:
        url = str(client.create_url())
    offsets = [0]
    for _ in range(KILLS):
        rest = path.stat().st_size - offsets[-1]
        killer = threading.Thread(target=kill_at, args=(service, url, offsets[-1] + chance.random() * rest * 0.8))
        killer.start()
        with suppress(TusCommunicationError, TusUploadFailed), uploader(service, path, chunk, url) as client:
            client.upload()
        killer.join()
        offset, kept = service.acknowledged(url.rsplit("/", 1)[1])
        assert 0 <= len(kept) - offset <= PIECE_BYTES + GATHER_BYTES
        assert kept[:offset] == path.read_bytes()[:offset]
        assert offset >= offsets[-1]
        offsets.append(offset)
        service.start()
    with uploader(service, path, chunk, url) as client:
        assert client.offset == offsets[-1]
        client.upload()
    assert any(0 < offset < path.stat().st_size for offset in offsets), "it was never killed on the way"
    return url


def kill_at(service: Service, url: str, size: float) -> None:
    """Kill when so many bytes are in the file, acknowledged or not."""
    path = service.home / "uploads" / url.rsplit("/", 1)[1]
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size >= size) and time.monotonic() < deadline:
        time.sleep(0.001)
    service.kill()


def check_whole(service: Service, url: str, path: Path) -> None:
    headers = {"Authorization": f"Bearer {service.key}"}
    upload_id = url.rsplit("/", 1)[1]
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=60) as client:
        told = client.head(f"/v1/uploads/{upload_id}", headers={"Tus-Resumable": "1.0.0"})
        assert told.headers["Upload-Offset"] == told.headers["Upload-Length"] == str(path.stat().st_size)
        slide = client.post("/v1/slides", json={"upload_id": upload_id})
        assert slide.status_code == 202, slide.text
        assert slide.json()["filename"] == path.name
    with service.ledger.read() as connection:
        uri = get_slide(connection, "lab", slide.json()["id"]).uri
    stored = (service.home / "store" / uri.removeprefix("store:")).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.data
@pytest.mark.parametrize("chunk", [64 << 10, 512 << 10])
def test_a_slide_comes_whole_through_kills(service, data_dir, chunk) -> None:
    path = data_dir / "slides" / "CMU-1-Small-Region.svs"
    url = send_while_killing(service, path, random.Random(chunk), chunk)
    check_whole(service, url, path)


def test_one_large_body_loses_at_most_a_piece_at_each_kill(service, tmp_path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(random.Random(7).randbytes(200 * MIB))
    url = send_while_killing(service, path, random.Random(8), 1 << 40)
    check_whole(service, url, path)
