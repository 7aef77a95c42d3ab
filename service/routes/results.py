"""Results: the manifest, the scores, every file with its digest, in ranges and as one archive."""

import base64
import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from models.errors import IntegrityError
from service.access import Caller, Reader, entry_of
from service.archive import zip_pieces
from service.deployment import Deployed, Deployment
from service.problems import tells
from service.ranges import names_tag, read_range
from service.wire import ArtifactTold, OrderIds, ResultTold
from workers.contract.errors import NoResultError, ResultNotReadyError, UnknownError
from workers.ledger.jobs import Artifact, JobRow, find_artifact, get_job, list_artifacts
from workers.ledger.states import JOB_OPEN

router = APIRouter(prefix="/v1/jobs/{job_id}/results", tags=["results"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/octet-stream": BINARY}},
    206: {"description": "The range that was asked for", "content": {"application/octet-stream": BINARY}},
    304: {"description": "Not Modified"},
    **tells(404, 410, 416),
}
Condition = Annotated[str | None, Header()]


@router.get("", summary="Read the manifest of a result", responses=tells(404, 410))
def show_result(caller: Reader, deployed: Deployed, job_id: str) -> ResultTold:
    """`result.json`, and for every file its digest and where to get it; 404 `result-not-ready` until there is one."""
    with deployed.ledger.read() as connection:
        job = _finished(get_job(connection, caller.tenant, job_id))
        artifacts = list_artifacts(connection, job.id)
    _audit(deployed, caller, job.id, "result.json")
    return ResultTold(
        job_id=job.id,
        slide_id=job.slide_id,
        ids=OrderIds(**job.ids),
        result=job.result or {},
        artifacts=tuple(_tell(job.id, artifact) for artifact in artifacts),
    )


@router.get("/scores.json", summary="Read the scores", responses=tells(404, 410))
def show_scores(caller: Reader, deployed: Deployed, job_id: str) -> dict[str, Any]:
    """The scores alone, with the notice that goes with them."""
    result = _result(deployed, caller, job_id, "scores.json")
    return {"job_id": job_id, "notice": result["notice"], "scores": result["scores"], "regions": result["regions"]}


@router.get(
    "/scores.csv",
    summary="Read the scores as a table",
    response_class=Response,
    responses={**tells(404, 410), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def show_scores_table(caller: Reader, deployed: Deployed, job_id: str) -> Response:
    """One row per number: its name and its value."""
    result = _result(deployed, caller, job_id, "scores.csv")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["name", "value"])
    writer.writerows(_flat({"notice": result["notice"], "job": job_id} | result["scores"]))
    return Response(table.getvalue(), media_type="text/csv; charset=utf-8")


@router.get(
    "/archive.zip",
    summary="Get all files of a result",
    response_class=StreamingResponse,
    responses={**tells(404, 410), 200: {"content": {"application/zip": BINARY}}},
)
def send_archive(caller: Reader, deployed: Deployed, job_id: str) -> StreamingResponse:
    """Every file of the result in one zip, made while it is sent."""
    with deployed.ledger.read() as connection:
        job = _finished(get_job(connection, caller.tenant, job_id))
        artifacts = list_artifacts(connection, job.id)
    for artifact in artifacts:
        _check_size(deployed, job, artifact)
    _audit(deployed, caller, job.id, "archive.zip")
    return StreamingResponse(
        zip_pieces(deployed.store, str(job.result_prefix), artifacts),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{job.id}.zip"'},
    )


@router.api_route(
    "/artifacts/{name:path}",
    methods=["GET"],
    summary="Get a file of a result",
    response_class=StreamingResponse,
    responses=FILE,
    operation_id="get_artifact",
)
@router.api_route("/artifacts/{name:path}", methods=["HEAD"], include_in_schema=False)
def send_artifact(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    job_id: str,
    name: str,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Condition = None,
    if_none_match: Condition = None,
) -> Response:
    """A file, or one range of it; its entity tag is its SHA-256."""
    with deployed.ledger.read() as connection:
        job = _finished(get_job(connection, caller.tenant, job_id))
        artifact = _look_up(deployed, caller, job, lambda: find_artifact(connection, job.id, name))
    tag = f'"{artifact.sha256}"'
    headers = _headers(artifact, tag)
    _audit(deployed, caller, job.id, name)
    if if_none_match is not None and names_tag(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    _check_size(deployed, job, artifact)
    piece = read_range(wanted, artifact.size_bytes) if if_range in (None, tag) else None
    start, stop = piece or (0, artifact.size_bytes)
    if piece is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.size_bytes}"
    headers["Content-Length"] = str(stop - start)
    body: Iterator[bytes] = iter(())
    if request.method != "HEAD":
        body = deployed.store.read(f"{job.result_prefix}/{artifact.path}", start, stop)
    status = 200 if piece is None else 206
    return StreamingResponse(body, status_code=status, headers=headers, media_type=artifact.media_type)


@router.api_route(
    "/zarr/{key:path}",
    methods=["GET"],
    summary="Get a key of the result's zarr store",
    response_class=StreamingResponse,
    responses=FILE,
    operation_id="get_zarr_key",
)
@router.api_route("/zarr/{key:path}", methods=["HEAD"], include_in_schema=False)
def send_zarr_key(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    job_id: str,
    key: str,
    wanted: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Condition = None,
    if_none_match: Condition = None,
) -> Response:
    """A key below the result's maps, so that a zarr reader can be pointed at this address; 404 is an empty chunk."""
    return send_artifact(caller, deployed, request, job_id, f"maps/{key}", wanted, if_range, if_none_match)


@router.get(
    "/overview.png",
    summary="Get the overview picture",
    response_class=StreamingResponse,
    responses={**tells(404, 410), 200: {"content": {"image/png": BINARY}}},
)
def send_overview(caller: Reader, deployed: Deployed, request: Request, job_id: str) -> Response:
    """The slide with its result on it, a legend and a scale bar."""
    return send_artifact(caller, deployed, request, job_id, "overview.png")


def _finished(job: JobRow) -> JobRow:
    if job.state in JOB_OPEN:
        raise ResultNotReadyError(f"The job {job.id} is {job.state}.", "Ask for the job with `?wait=30`.")
    if job.state != "succeeded":
        raise NoResultError(f"The job {job.id} has {job.state}; it has no result.", "Its `problem` says why.")
    return job


def _result(deployed: Deployment, caller: Caller, job_id: str, name: str) -> dict[str, Any]:
    with deployed.ledger.read() as connection:
        job = _finished(get_job(connection, caller.tenant, job_id))
    _audit(deployed, caller, job.id, name)
    return job.result or {}


def _look_up(deployed: Deployment, caller: Caller, job: JobRow, find: Any) -> Artifact:
    """The file; somebody who asks for what no manifest names is remembered."""
    try:
        found: Artifact = find()
    except UnknownError:
        deployed.reads.add(entry_of(caller, "result.read", job.id, 404))
        raise
    return found


def _check_size(deployed: Deployment, job: JobRow, artifact: Artifact) -> None:
    """Nothing is sent of a file that is not as long as it was."""
    size = deployed.store.size(f"{job.result_prefix}/{artifact.path}")
    if size != artifact.size_bytes:
        raise IntegrityError(
            f"{artifact.path} has {size} bytes; {artifact.size_bytes} were written.",
            "The store was altered: run the job again, and `histoserve gc --verify` on the machine.",
        )


def _audit(deployed: Deployment, caller: Caller, job_id: str, name: str) -> None:
    deployed.reads.add(entry_of(caller, "result.read", job_id, 200, name=name[:200]))


def _headers(artifact: Artifact, tag: str) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    name = quote(artifact.path.rsplit("/", 1)[-1])
    return {
        "ETag": tag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
    }


def _tell(job_id: str, artifact: Artifact) -> ArtifactTold:
    return ArtifactTold(
        path=artifact.path,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        url=f"/v1/jobs/{job_id}/results/artifacts/{quote(artifact.path)}",
    )


def _flat(value: dict[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        full = f"{name}.{key}" if name else key
        if isinstance(inner, dict):
            yield from _flat(inner, full)
        else:
            yield full, _harmless(str(inner))


def _harmless(text: str) -> str:
    """A table's program takes some beginnings for formulas; numbers may begin with a sign."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
