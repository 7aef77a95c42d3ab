"""`Client`: a service, as Python calls."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from pydantic import BaseModel

from models.errors import HistoserveError
from service.client.calls import IDEMPOTENCY, Calls, Patience
from service.client.download import download_result
from service.client.errors import error_of
from service.client.place import find_place
from service.client.remembered import identity, remember
from service.client.uploading import Report, Uploaded, send_file
from service.client.watching import watch_job
from service.wire import (
    BatchTold,
    EventTold,
    JobPage,
    JobSent,
    JobTold,
    ModelList,
    ModelTold,
    OrderIds,
    ResultTold,
    SlidePage,
    SlideTold,
)
from workers.contract.errors import GoneError, StateConflictError, UnknownError

M = TypeVar("M", bound=BaseModel)
WAIT_S = 30


def say_nothing(_done: int, _all: int) -> None:
    """Ignore progress."""


class Client:
    """A service and a key for it. Safe to share between threads; close it, or use it in a `with` block.

    Every call that can be sent twice without harm is sent again when the connection or the service fails, after
    pauses that grow. What the service refuses is raised at once, as the error it told of.

    Parameters
    ----------
    url, key
        Where the service is, and an API key: as given, else HISTOSERVE_URL and HISTOSERVE_KEY, else what
        `histoserve up` left in its key file.
    """

    def __init__(self, url: str | None = None, key: str | None = None, *, patience: Patience | None = None) -> None:
        self.calls = Calls(find_place(url, key), patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.calls.close()

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.calls.place.url

    def models(self) -> tuple[ModelTold, ...]:
        """The packages that are installed."""
        return self._get(ModelList, "/v1/models").items

    def upload(self, path: str | Path, progress: Report = say_nothing) -> Uploaded:
        """The complete upload of a file. One that was interrupted, in another process too, goes on where it was."""
        path = Path(path)
        with remember(_identity(path, self.calls)) as memory:
            return send_file(self.calls, path, memory, progress)

    def add_slide(
        self,
        path: str | Path,
        *,
        mpp: float | None = None,
        stain: str | None = None,
        ids: OrderIds | None = None,
        progress: Report = say_nothing,
    ) -> SlideTold:
        """The slide that a local file has become: uploaded, and registered with the SHA-256 of what was read here."""
        path = Path(path)
        with remember(_identity(path, self.calls)) as memory:
            was_begun = memory.upload_id is not None
            uploaded = send_file(self.calls, path, memory, progress)
            try:
                slide = self.register(uploaded, mpp=mpp, stain=stain, ids=ids)
            except (StateConflictError, GoneError, UnknownError):
                # An upload of an earlier process may be another slide's by now, or may have expired.
                memory.forget()
                if not was_begun:
                    raise
                slide = self.register(send_file(self.calls, path, memory, progress), mpp=mpp, stain=stain, ids=ids)
            memory.forget()
            return slide

    def register(
        self,
        source: Uploaded | str,
        *,
        mpp: float | None = None,
        stain: str | None = None,
        ids: OrderIds | None = None,
        filename: str | None = None,
        sha256: str | None = None,
    ) -> SlideTold:
        """The slide that an upload or a `file:`/`s3:` URI has become; the service refuses other bytes than stated."""
        said = {"mpp": mpp, "stain": stain, "filename": filename, "sha256": sha256}
        body = {name: value for name, value in said.items() if value is not None} | {"ids": _said(ids)}
        if isinstance(source, str):
            return self._post(SlideTold, "/v1/slides", body | {"uri": source}, uuid4().hex)
        body = {"upload_id": source.id, "filename": source.filename, "sha256": source.sha256} | body
        # An upload becomes a slide once: the same request of another process is to have the same answer.
        return self._post(SlideTold, "/v1/slides", body, _digest(body))

    def slide(self, slide_id: str) -> SlideTold:
        """A slide."""
        return self._get(SlideTold, f"/v1/slides/{slide_id}")

    def slides(self, **filters: str) -> Iterator[SlideTold]:
        """The slides, newest first; `accession`, `external_id`."""
        for page in self._pages(SlidePage, "/v1/slides", filters):
            yield from page.items

    def submit(
        self,
        slide: str | SlideTold,
        *,
        model: str | None = None,
        analysis: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        regions: Mapping[str, Any] | None = None,
        key: str | None = None,
        **fields: Any,
    ) -> JobTold:
        """The job that was accepted: a slide and what to do with it.

        Parameters
        ----------
        regions
            GeoJSON polygons in level-0 px.
        key
            The Idempotency-Key. The same key and request give the same job; one is made where none is given.
        fields
            `priority`, `due_at`, `ids`.
        """
        asked = {"model": model, "analysis": analysis, "regions": regions, "parameters": parameters or {}} | fields
        sent = JobSent(slide_id=slide if isinstance(slide, str) else slide.id, **asked)
        body = sent.model_dump(mode="json", exclude_none=True)
        return self._post(JobTold, "/v1/jobs", body, key or uuid4().hex)

    def job(self, job_id: str) -> JobTold:
        """A job as it stands."""
        return self._get(JobTold, f"/v1/jobs/{job_id}")

    def jobs(self, **filters: str) -> Iterator[JobTold]:
        """The jobs, newest first; `status`, `slide`, `batch`, `accession`, `external_id`, `since`."""
        for page in self._pages(JobPage, "/v1/jobs", filters):
            yield from page.items

    def wait(
        self, job_id: str, progress: Callable[[JobTold], None] = lambda _: None, limit_s: float | None = None
    ) -> JobTold:
        """The job when it is over, or after `limit_s`; `progress` is told of every change."""
        until = None if limit_s is None else time.monotonic() + limit_s
        told, tag = self.poll(job_id)
        while True:
            if told is not None:
                job = told
                progress(job)
            left_s = WAIT_S if until is None else min(WAIT_S, until - time.monotonic())
            if job.ended_at is not None or left_s <= 0:
                return job
            told, tag = self.poll(job_id, tag, left_s)

    def poll(self, job_id: str, tag: str = "", wait_s: float = 0.0) -> tuple[JobTold | None, str]:
        """The job and its entity tag; None where it is as it was with `tag`, for `wait_s` if so long."""
        headers = {"If-None-Match": tag} if tag else {}
        answer = self.calls.send("GET", f"/v1/jobs/{job_id}", headers, params={"wait": f"{wait_s:.1f}"})
        told = None if answer.status_code == 304 else _read(JobTold, answer.content)
        return told, answer.headers.get("ETag", "")

    def watch(self, job_id: str, after: int = 0) -> Iterator[EventTold]:
        """What happens to a job, until it is over."""
        return watch_job(self.calls, job_id, after)

    def cancel(self, job_id: str) -> JobTold:
        """The job, cancelled."""
        return self._post(JobTold, f"/v1/jobs/{job_id}/cancel", None, uuid4().hex)

    def retry(self, job_id: str) -> JobTold:
        """A new job that asks the same as one that failed or was cancelled."""
        return self._post(JobTold, f"/v1/jobs/{job_id}/retry", None, uuid4().hex)

    def rescore(
        self, job_id: str, parameters: Mapping[str, Any], *, priority: str = "routine", key: str | None = None
    ) -> JobTold:
        """A new job that scores the result of one that succeeded with other thresholds, without inference."""
        body = {"parameters": dict(parameters), "priority": priority}
        return self._post(JobTold, f"/v1/jobs/{job_id}/results/rescore", body, key or uuid4().hex)

    def submit_batch(self, items: Sequence[JobSent], name: str | None = None, key: str | None = None) -> BatchTold:
        """The batch: up to 1,000 jobs handed in at once, each accepted or refused alone."""
        body = {"name": name, "items": [item.model_dump(mode="json", exclude_none=True) for item in items]}
        return self._post(BatchTold, "/v1/batches", body, key or uuid4().hex)

    def batch(self, batch_id: str) -> BatchTold:
        """A batch and the state of its items."""
        return self._get(BatchTold, f"/v1/batches/{batch_id}")

    def results(self, job_id: str) -> ResultTold:
        """The manifest of a job's result. Raises `ResultNotReadyError`, `NoResultError`."""
        return self._get(ResultTold, f"/v1/jobs/{job_id}/results")

    def download(self, job_id: str, folder: str | Path, progress: Report = say_nothing) -> tuple[Path, ...]:
        """The files of a job's result, in `folder`, each with the SHA-256 that the manifest names.

        A download that broke off goes on where it was. Raises `OutputConflictError` where the folder holds anything
        else, `IntegrityError` where a file was altered.
        """
        return download_result(self.calls, self.results(job_id), Path(folder), progress)

    def _get(self, model: type[M], path: str, **options: Any) -> M:
        return _read(model, self.calls.send("GET", path, **options).content)

    def _post(self, model: type[M], path: str, body: Any, key: str) -> M:
        return _read(model, self.calls.send("POST", path, {IDEMPOTENCY: key}, json=body).content)

    def _pages(self, model: type[M], path: str, filters: Mapping[str, str]) -> Iterator[M]:
        cursor: dict[str, str] = {}
        while True:
            page = self._get(model, path, params={**filters, "limit": 200, **cursor})
            yield page
            following = getattr(page, "next", None)
            if following is None:
                return
            cursor = {"cursor": following}


def problem_of(job: JobTold) -> HistoserveError | None:
    """Why a job failed or was cancelled, as an error to be raised; None for one that did not."""
    if job.problem is not None:
        return error_of(job.problem.model_dump())
    if job.state in ("failed", "cancelled"):
        return HistoserveError(f"The job {job.id} was {job.state}.", f"`histoserve retry {job.id}` does it again.")
    return None


def _read(model: type[M], content: bytes) -> M:
    """A document of the service; what a newer one says more is left out."""
    return model.model_validate_json(content, extra="ignore")


def _said(ids: OrderIds | None) -> dict[str, str]:
    return {} if ids is None else ids.model_dump(exclude_none=True)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _identity(path: Path, calls: Calls) -> str:
    return identity(path, calls.place)
