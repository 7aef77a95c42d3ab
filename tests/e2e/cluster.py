"""A deployment of real processes for tests: Valkey, a database, workers, and the service where it is wanted."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.command import HISTOSERVE
from tests.servers import Server, free_port, valkey_server, wait_for
from workers.contract.doorbell import Doorbell, open_doorbell
from workers.contract.settings import Settings
from workers.contract.store import Store, open_store
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.jobs import JobRow, NewJob, create_job, job_of_any_tenant
from workers.ledger.keys import create_key
from workers.ledger.slides import NewSlide, SlideRow, create_slide
from workers.ledger.states import JOB_TERMINAL

TENANT = "lab"
QUICK = {"HEARTBEAT_S": "0.5", "LEASE_S": "4", "RECONCILE_S": "0.5", "THREADS": "2"}
"""Times short enough for tests; the shape of things is the same."""


@dataclass
class Cluster:
    """What runs, and how to reach it."""

    settings: Settings
    env: dict[str, str]
    valkey: Server
    ledger: Ledger
    doorbell: Doorbell
    store: Store
    key: str
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    service: "subprocess.Popen[bytes] | None" = None

    def start_worker(self, slots: int = 1) -> "subprocess.Popen[bytes]":
        """A worker's supervisor, ready."""
        process = self._start("worker", "--slots", str(slots), "--json")
        assert process.stdout is not None
        seat = json.loads(process.stdout.readline())
        assert seat["packages"], seat
        self.workers.append(process)
        return process

    def start_service(self) -> httpx.Client:
        """The service on the deployment's port, and a client with a key."""
        self.service = self._start("serve", "--json")
        assert self.service.stdout is not None
        url = json.loads(self.service.stdout.readline())["url"]
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {self.key}"}, timeout=60, trust_env=False)

    def kill_service(self) -> None:
        """SIGKILL."""
        assert self.service is not None
        assert self.service.stdout is not None
        self.service.kill()
        self.service.wait()
        self.service.stdout.close()

    def put_slide(self, path: Path, tenant: str = TENANT, **fields: Any) -> SlideRow:
        """A slide in the store, as an upload leaves it."""
        key = f"slides/{path.stem}-{random.randrange(1 << 40):x}"
        self.store.put(path, key)
        new = NewSlide(**({"origin": "upload", "uri": f"store:{key}", "filename": path.name} | fields))
        with self.ledger.write() as connection:
            return create_slide(connection, tenant, new)

    def order(self, slide: SlideRow, package: str = "nuclei@1.0.0", *, ring: bool = True, **fields: Any) -> str:
        """The name of a new job, rung for."""
        order = {"package": package, "parameters": {}, "regions": None, "mpp": None, "provider": None}
        with self.ledger.write() as connection:
            job = create_job(connection, slide.tenant, NewJob(slide.id, package, order, **fields), 10_000)
        if ring:
            self.doorbell.ring(f"job:{job.id}", job.priority)
        return job.id

    def job(self, job_id: str) -> JobRow:
        """The job now."""
        with self.ledger.read() as connection:
            found = job_of_any_tenant(connection, job_id)
        assert found is not None
        return found

    def finish(self, *job_ids: str, limit_s: float = 180) -> list[JobRow]:
        """The jobs when all are over."""
        jobs: list[JobRow] = []

        def are_over() -> bool:
            jobs[:] = [self.job(job_id) for job_id in job_ids]
            return all(job.state in JOB_TERMINAL for job in jobs)

        wait_for(are_over, limit_s, lambda: str([(j.id, j.state, j.bands_done, j.problem) for j in jobs]))
        return jobs

    def wait_bands(self, job_id: str, count: int, limit_s: float = 120) -> None:
        """Return when some bands are done, or the job is over."""
        wait_for(lambda: self.job(job_id).bands_done >= count or self.job(job_id).state in JOB_TERMINAL, limit_s)

    def horses(self) -> list[int]:
        """The processes that compute: the forked children of listeners."""
        return [pid for pid, command, parent in _processes() if parent in self.listeners() and "listen" in command]

    def listeners(self) -> list[int]:
        """The processes that wait for rings."""
        supervisors = {worker.pid for worker in self.workers}
        return [pid for pid, command, parent in _processes() if parent in supervisors and "listen" in command]

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.settings.home / "processes.log").open("ab") as log:
            return subprocess.Popen([HISTOSERVE, *arguments], env=self.env, stdout=subprocess.PIPE, stderr=log)


@contextmanager
def cluster(home: Path, database_url: str | None = None, **env: str) -> Iterator[Cluster]:
    """A deployment with nothing but Valkey running; all that was started in it is gone at the end."""
    with ExitStack() as stack:
        valkey = stack.enter_context(valkey_server())
        given = {"HOME": str(home), "REDIS_URL": valkey.url, "PORT": str(free_port())} | QUICK | env
        if database_url is not None:
            given["DATABASE_URL"] = database_url
        full = os.environ | {f"HISTOSERVE_{name}": value for name, value in given.items()}
        settings = Settings(**{name.lower(): _value(value) for name, value in given.items()})
        migrate(settings.database)
        ledger, doorbell = open_ledger(settings.database), open_doorbell(settings)
        stack.callback(ledger.close)
        stack.callback(doorbell.redis.close)
        with ledger.write() as connection:
            _, key = create_key(connection, TENANT, "test", ("read", "write", "admin"))
        made = Cluster(settings, full, valkey, ledger, doorbell, open_store(settings), key)
        try:
            yield made
        finally:
            _end([*made.workers, *([made.service] if made.service else [])])


def _value(text: str) -> Any:
    return json.loads(text) if text[:1] in "[{" else text


def _end(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _processes() -> list[tuple[int, str, int]]:
    """(pid, command line, parent) of all processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append((int(folder.name), command, parent))
    return found


def result_digests(job: JobRow) -> dict[str, str]:
    """Path to digest of everything a job's result holds."""
    assert job.result is not None, job.problem
    return {part["path"]: part["sha256"] for part in [*job.result["files"], *job.result["folders"]]}


def leftovers(settings: Settings) -> list[Path]:
    """What killed workers left in the scratch folder."""
    return list(settings.scratch_folder.glob("att_*"))
