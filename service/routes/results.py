"""Results: the manifest, the scores, every file with its digest, in ranges and as one archive."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from models.errors import HistoserveError
from service.access import Caller, Reader, entry_of
from service.archive import zip_pieces
from service.deployment import Deployed, Deployment
from service.problems import status_of, tells
from service.scores import render_table
from service.sending import Conditions, check_size, send_file
from service.wire import ArtifactTold, OrderIds, ResultTold, ScoresTold
from workers.contract.errors import ResultNotReadyError, UnknownError
from workers.ledger.jobs import Artifact, JobRow, list_artifacts
from workers.ledger.results import StoredFile, find_file, get_finished

router = APIRouter(prefix="/v1/jobs/{job_id}/results", tags=["results"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
HEADERS = {
    "ETag": {"description": "The file's SHA-256 in quotes.", "schema": {"type": "string"}},
    "Repr-Digest": {"description": "The same as RFC 9530 writes it.", "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "`bytes`", "schema": {"type": "string"}},
}
SPAN = {"Content-Range": {"description": "Which bytes these are.", "schema": {"type": "string"}}}
Documents = dict[int | str, dict[str, Any]]
T = TypeVar("T")
JobId = Annotated[str, Path(max_length=64)]
# What is too long to be a file's path is a path nobody has: 404 and remembered, as all others.
Name = Annotated[str, Path(description="Path of the file within the result, as its manifest names it.")]
Key = Annotated[str, Path(description="Path of a chunk or of metadata below the result's maps.")]


def file_documents(*media_types: str) -> Documents:
    """What OpenAPI says of an endpoint that sends a file."""
    content = dict.fromkeys(media_types, BINARY)
    return {
        **tells(404, 410, 416),
        200: {"description": "The file", "content": content, "headers": HEADERS},
        206: {"description": "The range that was asked for", "content": content, "headers": HEADERS | SPAN},
        304: {"description": "The caller has it already"},
    }


@router.get("", summary="Read the manifest of a result", responses=tells(404, 410))
def show_result(caller: Reader, deployed: Deployed, job_id: JobId) -> ResultTold:
    """`result.json`, and for every file its digest and where to get it; 404 `result-not-ready` until there is one."""
    job, artifacts = _read(deployed, caller, job_id, "result.json", with_files=True)
    return ResultTold(
        job_id=job.id,
        slide_id=job.slide_id,
        ids=OrderIds(**job.ids),
        result=job.result or {},
        artifacts=tuple(_tell(job.id, artifact) for artifact in artifacts),
    )


@router.get("/scores.json", summary="Read the scores", responses=tells(404, 410))
def show_scores(caller: Reader, deployed: Deployed, job_id: JobId) -> ScoresTold:
    """The scores alone, with the notice that goes with them."""
    job, _ = _read(deployed, caller, job_id, "scores.json")
    result = job.result or {}
    return ScoresTold(job_id=job.id, ids=OrderIds(**job.ids), scores=result["scores"], regions=result["regions"])


@router.get(
    "/scores.csv",
    summary="Read the scores as a table",
    response_class=Response,
    responses={**tells(404, 410), 200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def show_scores_table(caller: Reader, deployed: Deployed, job_id: JobId) -> Response:
    """One row per number: its name and its value."""
    job, _ = _read(deployed, caller, job_id, "scores.csv")
    result = job.result or {}
    head = {"notice": result["notice"], "job": job.id, **{name: value for name, value in job.ids.items() if value}}
    table = render_table({**head, **result["scores"], "regions": result["regions"]})
    name = {"Content-Disposition": f'attachment; filename="{job.id}-scores.csv"'}
    return Response(table, media_type="text/csv; charset=utf-8", headers=name)


@router.get(
    "/archive.zip",
    summary="Get all files of a result",
    response_class=StreamingResponse,
    responses={**tells(404, 410), 200: {"content": {"application/zip": BINARY}}},
)
def send_archive(caller: Reader, deployed: Deployed, job_id: JobId) -> StreamingResponse:
    """Every file of the result in one zip, made while it is sent; the same result is the same zip.

    Every digest is checked on the way: where a file was altered the connection breaks before the zip is whole.
    """

    def find() -> list[StoredFile]:
        with deployed.ledger.read() as connection:
            job = get_finished(connection, caller.tenant, job_id)
            found = list_artifacts(connection, job.id)
        files = [StoredFile(f"{job.result_prefix}/{artifact.path}", artifact) for artifact in found]
        for file in files:
            check_size(deployed.store, file)
        return files

    files = _audited(deployed, caller, job_id, "archive.zip", find, lambda _: 200)
    return StreamingResponse(
        zip_pieces(deployed.store, files),
        media_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{job_id}.zip"'},
    )


@router.head("/overview.png", include_in_schema=False)
@router.get(
    "/overview.png",
    summary="Get the overview picture",
    response_class=Response,
    responses=file_documents("image/png"),
)
def send_overview(caller: Reader, deployed: Deployed, job_id: JobId, asked: Conditions) -> Response:
    """The slide with its result on it, a legend and a scale bar."""
    return send_artifact(caller, deployed, job_id, "overview.png", asked)


@router.head("/artifacts/{name:path}", include_in_schema=False)
@router.get(
    "/artifacts/{name:path}",
    summary="Get a file of a result",
    response_class=Response,
    responses=file_documents("*/*"),
)
def send_artifact(caller: Reader, deployed: Deployed, job_id: JobId, name: Name, asked: Conditions) -> Response:
    """A file, or one range of it; its entity tag is its SHA-256."""

    def answer() -> Response:
        # A NUL is in no path, and PostgreSQL does not even look for it.
        with deployed.ledger.read() as connection:
            file = find_file(connection, caller.tenant, job_id, name.replace("\0", "?"))
        if file is None:
            raise UnknownError(f"The result of {job_id} holds no such file.", "Its manifest lists what it holds.")
        return send_file(deployed.store, file, asked)

    return _audited(deployed, caller, job_id, name, answer, lambda made: made.status_code)


@router.head("/zarr/{key:path}", include_in_schema=False)
@router.get(
    "/zarr/{key:path}",
    summary="Get a key of the result's zarr stores",
    response_class=Response,
    responses=file_documents("application/octet-stream", "application/json"),
)
def send_zarr_key(caller: Reader, deployed: Deployed, job_id: JobId, key: Key, asked: Conditions) -> Response:
    """A key below the result's maps, so that a zarr reader can be pointed at this address; 404 is an empty chunk."""
    return send_artifact(caller, deployed, job_id, f"maps/{key}", asked)


def _audited(
    deployed: Deployment, caller: Caller, job_id: str, name: str, make: Callable[[], T], outcome: Callable[[T], int]
) -> T:
    """What `make` gives; the audit has what came of it before it is answered."""
    shown = "".join(c if c.isprintable() else "?" for c in name[:200])
    try:
        made = make()
    except ResultNotReadyError:
        # Asked for again and again while it is waited for; nothing is read.
        raise
    except HistoserveError as error:
        deployed.reads.add(entry_of(caller, "result.read", job_id, status_of(error), name=shown))
        raise
    deployed.reads.add(entry_of(caller, "result.read", job_id, outcome(made), name=shown))
    return made


def _read(
    deployed: Deployment, caller: Caller, job_id: str, name: str, *, with_files: bool = False
) -> tuple[JobRow, list[Artifact]]:
    """(job, files where wanted) of a result; the read is in the audit."""

    def find() -> tuple[JobRow, list[Artifact]]:
        with deployed.ledger.read() as connection:
            job = get_finished(connection, caller.tenant, job_id)
            return job, list(list_artifacts(connection, job.id)) if with_files else []

    return _audited(deployed, caller, job_id, name, find, lambda _: 200)


def _tell(job_id: str, artifact: Artifact) -> ArtifactTold:
    return ArtifactTold(
        path=artifact.path,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        url=f"/v1/jobs/{job_id}/results/artifacts/{quote(artifact.path)}",
    )
