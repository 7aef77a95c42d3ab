"""Results: the manifest, the scores, every file with its digest, in ranges and as one archive."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import APIRouter, Path, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from models.errors import HistoserveError
from service.access import Caller, SentKey, check_caller, entry_of
from service.archive import zip_pieces
from service.deployment import Deployed, Deployment
from service.problems import status_of, tells
from service.scores import render_table
from service.sending import Conditions, check_size, send_file
from service.wire import ArtifactTold, OrderIds, ResultTold, ScoresTold
from workers.contract.errors import ResultNotReadyError, UnknownError
from workers.ledger.audit import Entry
from workers.ledger.jobs import Artifact, JobRow, list_artifacts
from workers.ledger.results import StoredFile, find_file, get_finished

router = APIRouter(prefix="/v1/jobs/{job_id}/results", tags=["results"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
ANYTHING: dict[str, Any] = {"schema": {}}
"""For a type that may be JSON: a JSON document is not a string of bytes."""
HEADERS = {
    "ETag": {"description": "The file's SHA-256 in quotes.", "schema": {"type": "string"}},
    "Repr-Digest": {"description": "The same as RFC 9530 writes it.", "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "`bytes`", "schema": {"type": "string"}},
}
SPAN = {"Content-Range": {"description": "Which bytes these are.", "schema": {"type": "string"}}}
Documents = dict[int | str, dict[str, Any]]
T = TypeVar("T")
Made = TypeVar("Made")
Find = Callable[[sa.Connection, str], T]
"""What is looked up for a tenant."""
JobId = Annotated[str, Path(max_length=64)]
# What is too long to be a file's path is a path nobody has: 404 and remembered, as all others.
Name = Annotated[str, Path(description="Path of the file within the result, as its manifest names it.")]
Key = Annotated[str, Path(description="Path of a chunk or of metadata below the result's maps.")]


def file_documents(*media_types: str) -> Documents:
    """What OpenAPI says of an endpoint that sends a file."""
    content = {name: ANYTHING if name in ("*/*", "application/json") else BINARY for name in media_types}
    return {
        **tells(404, 410, 416),
        200: {"description": "The file", "content": content, "headers": HEADERS},
        206: {"description": "The range that was asked for", "content": content, "headers": HEADERS | SPAN},
        304: {"description": "The caller has it already"},
    }


@router.get("", summary="Read the manifest of a result", responses=tells(404, 410))
async def show_result(sent: SentKey, deployed: Deployed, job_id: JobId) -> ResultTold:
    """`result.json`, and for every file its digest and where to get it; 404 `result-not-ready` until there is one."""

    def find(connection: sa.Connection, tenant: str) -> tuple[JobRow, Sequence[Artifact]]:
        job = get_finished(connection, tenant, job_id)
        return job, list_artifacts(connection, job.id)

    def tell(found: tuple[JobRow, Sequence[Artifact]]) -> ResultTold:
        job, artifacts = found
        return ResultTold(
            job_id=job.id,
            slide_id=job.slide_id,
            ids=OrderIds(**job.ids),
            result=job.result or {},
            artifacts=tuple(_tell(job.id, artifact) for artifact in artifacts),
        )

    return await _read(deployed, sent, job_id, "result.json", find, tell)


@router.get("/scores.json", summary="Read the scores", responses=tells(404, 410))
async def show_scores(sent: SentKey, deployed: Deployed, job_id: JobId) -> ScoresTold:
    """The scores alone, with the notice that goes with them."""

    def tell(job: JobRow) -> ScoresTold:
        result = job.result or {}
        return ScoresTold(job_id=job.id, ids=OrderIds(**job.ids), scores=result["scores"], regions=result["regions"])

    return await _read(deployed, sent, job_id, "scores.json", _job_of(job_id), tell)


@router.get(
    "/scores.csv",
    summary="Read the scores as a table",
    response_class=Response,
    responses={**tells(404, 410), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def show_scores_table(sent: SentKey, deployed: Deployed, job_id: JobId) -> Response:
    """One row per number: its name and its value."""

    def tell(job: JobRow) -> Response:
        result = job.result or {}
        head = {"notice": result["notice"], "job": job.id, **{name: value for name, value in job.ids.items() if value}}
        table = render_table({**head, **result["scores"], "regions": result["regions"]})
        name = {"Content-Disposition": f'attachment; filename="{job.id}-scores.csv"'}
        return Response(table, media_type="text/csv; charset=utf-8", headers=name)

    return await _read(deployed, sent, job_id, "scores.csv", _job_of(job_id), tell)


@router.get(
    "/archive.zip",
    summary="Get all files of a result",
    response_class=StreamingResponse,
    responses={**tells(404, 410), 200: {"content": {"application/zip": BINARY}}},
)
async def send_archive(sent: SentKey, deployed: Deployed, job_id: JobId) -> StreamingResponse:
    """Every file of the result in one zip, made while it is sent; the same result is the same zip.

    Every digest is checked on the way: where a file was altered the connection breaks before the zip is whole.
    """

    def find(connection: sa.Connection, tenant: str) -> list[StoredFile]:
        job = get_finished(connection, tenant, job_id)
        found = list_artifacts(connection, job.id)
        return [StoredFile(f"{job.result_prefix}/{artifact.path}", artifact) for artifact in found]

    def check(files: list[StoredFile]) -> StreamingResponse:
        for file in files:
            check_size(deployed.store, file)
        name = {"Content-Disposition": f'attachment; filename="{job_id}.zip"'}
        return StreamingResponse(zip_pieces(deployed.store, files), media_type="application/zip", headers=name)

    return await _read(deployed, sent, job_id, "archive.zip", find, check)


@router.head("/overview.png", include_in_schema=False)
@router.get(
    "/overview.png",
    summary="Get the overview picture",
    response_class=Response,
    responses=file_documents("image/png"),
)
async def send_overview(sent: SentKey, deployed: Deployed, job_id: JobId, asked: Conditions) -> Response:
    """The slide with its result on it, a legend and a scale bar."""
    return await send_artifact(sent, deployed, job_id, "overview.png", asked)


@router.head("/artifacts/{name:path}", include_in_schema=False)
@router.get(
    "/artifacts/{name:path}",
    summary="Get a file of a result",
    response_class=Response,
    responses=file_documents("*/*"),
)
async def send_artifact(sent: SentKey, deployed: Deployed, job_id: JobId, name: Name, asked: Conditions) -> Response:
    """A file, or one range of it; its entity tag is its SHA-256."""

    def find(connection: sa.Connection, tenant: str) -> StoredFile:
        # A NUL is in no path, and PostgreSQL does not even look for it.
        file = find_file(connection, tenant, job_id, name.replace("\0", "?"))
        if file is None:
            raise UnknownError(f"The result of {job_id} holds no such file.", "Its manifest lists what it holds.")
        return file

    return await _read(deployed, sent, job_id, name, find, lambda file: send_file(deployed.store, file, asked))


@router.head("/zarr/{key:path}", include_in_schema=False)
@router.get(
    "/zarr/{key:path}",
    summary="Get a key of the result's zarr stores",
    response_class=Response,
    responses=file_documents("application/octet-stream", "application/json"),
)
async def send_zarr_key(sent: SentKey, deployed: Deployed, job_id: JobId, key: Key, asked: Conditions) -> Response:
    """A key below the result's maps, so that a zarr reader can be pointed at this address; 404 is an empty chunk."""
    return await send_artifact(sent, deployed, job_id, f"maps/{key}", asked)


def _job_of(job_id: str) -> Find[JobRow]:
    return lambda connection, tenant: get_finished(connection, tenant, job_id)


async def _read(
    deployed: Deployment, sent: SentKey, job_id: str, name: str, find: Find[T], make: Callable[[T], Made]
) -> Made:
    """What `find` finds, `make` made of it; the audit has what came of it before it is answered.

    One transaction for key and row, one thread for that and the file: a reader of many small pieces waits for both.
    """

    def work() -> tuple[Made | HistoserveError, Entry | None]:
        shown = "".join(c if c.isprintable() else "?" for c in name[:200])
        with deployed.ledger.read() as connection:
            caller = check_caller(connection, sent, "read")
            try:
                found = find(connection, caller.tenant)
            except HistoserveError as error:
                return error, _failed(caller, job_id, shown, error)
        try:
            made = make(found)
        except HistoserveError as error:
            return error, _failed(caller, job_id, shown, error)
        status = made.status_code if isinstance(made, Response) else 200
        return made, entry_of(caller, "result.read", job_id, status, name=shown)

    answer, entry = await run_in_threadpool(work)
    if entry is not None:
        await asyncio.wrap_future(deployed.reads.submit(entry))
    if isinstance(answer, HistoserveError):
        raise answer
    return answer


def _failed(caller: Caller, job_id: str, name: str, error: HistoserveError) -> Entry | None:
    """What the audit has of a read that failed: nothing of a result that is waited for, again and again."""
    if isinstance(error, ResultNotReadyError):
        return None
    return entry_of(caller, "result.read", job_id, status_of(error), name=name)


def _tell(job_id: str, artifact: Artifact) -> ArtifactTold:
    return ArtifactTold(
        path=artifact.path,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        url=f"/v1/jobs/{job_id}/results/artifacts/{quote(artifact.path)}",
    )
