"""Uploads: tus 1.0. An offset that is told is on the disk."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.access import Writer
from service.deployment import Deployed
from service.once import IdempotencyKey, answer_once
from service.problems import tells
from service.uploads import documented as documents
from service.uploads.desk import Arrival, AtDesk, Desk, check_size, end_upload, find_upload, make_upload, receive
from service.uploads.errors import BadRequestError
from service.uploads.headers import (
    ALGORITHMS,
    EXTENSIONS,
    VERSION,
    bare_filename,
    check_body_type,
    check_version,
    read_body_length,
    read_checksum,
    read_length,
    read_metadata,
    read_number,
    write_metadata,
    write_time,
)
from service.wire import UploadTold, when
from workers.ledger.idempotency import Answer
from workers.ledger.uploads import Upload


class TusRoute(APIRoute):
    """A route whose every answer, refusals included, says which tus it speaks."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and mark the answer."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = VERSION
                headers["Cache-Control"] = "no-store"
                if message["status"] == 412:
                    headers["Tus-Version"] = VERSION
            await send(message)

        await super().handle(scope, receive, send_marked)


router = APIRouter(prefix="/v1", tags=["uploads"], route_class=TusRoute)
UploadId = Annotated[str, Path(max_length=40)]


@router.options("/uploads", status_code=204, summary="Ask what is spoken", responses=documents.ABILITIES)
def show_abilities(deployed: Deployed) -> Response:
    """The tus version, its extensions and the largest upload; no key is needed."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(deployed.settings.max_upload_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Allow": "OPTIONS, POST",
    }
    return Response(status_code=204, headers=headers)


@router.post(
    "/uploads",
    status_code=201,
    operation_id="begin_upload",
    summary="Begin an upload",
    response_model=UploadTold,
    responses=documents.BEGUN | tells(400, 408, 412, 413, 415, 423, 460, 507),
    openapi_extra=documents.BEGIN,
)
async def begin(caller: Writer, desk: AtDesk, request: Request, key: IdempotencyKey = None) -> Response:
    """Begin an upload of a known length; its address is in `Location`. A body, if there is one, is its first bytes."""
    headers = request.headers
    check_version(headers)
    length, metadata = read_length(headers), read_metadata(headers)
    brings = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    checksum = read_checksum(headers)
    if brings:
        check_body_type(headers)
    check_size(desk, length)

    def place() -> tuple[Answer, bool]:
        made: list[Upload] = []
        with desk.deployment.ledger.write() as connection:

            def make() -> Answer:
                made.append(make_upload(connection, desk, caller, length, metadata))
                return Answer(201, {"id": made[0].id}, {})

            body = {"length": length, "metadata": metadata}
            return answer_once(connection, caller, "uploads", key, body, make), bool(made)

    answer, is_new = await desk.in_thread(place)
    upload_id = str(answer.body["id"])
    if brings and is_new:
        arrival = Arrival(upload_id, 0, read_body_length(headers), request.stream(), checksum)
        try:
            await _receive(desk, caller, arrival)
        except BaseException:
            if key is None:
                # Nobody was told its address, so nobody could go on with it.
                await desk.in_thread(lambda: end_upload(desk, caller, upload_id))
            raise
    upload = await desk.in_thread(lambda: find_upload(desk, caller, upload_id))
    return JSONResponse(tell_upload(upload).model_dump(mode="json"), 201, _progress(upload) | _place(upload))


@router.head(
    "/uploads/{upload_id}",
    summary="Ask how far an upload is",
    response_class=Response,
    responses=documents.OFFSET_TOLD | tells(404, 410, 412),
    openapi_extra=documents.ASK,
)
def show_offset(caller: Writer, desk: AtDesk, request: Request, upload_id: UploadId) -> Response:
    """The offset in `Upload-Offset`: so many bytes are on the disk, whatever happens to the service."""
    check_version(request.headers)
    upload = find_upload(desk, caller, upload_id)
    headers = _progress(upload)
    if upload.length_bytes is not None:
        headers["Upload-Length"] = str(upload.length_bytes)
    if upload.metadata:
        headers["Upload-Metadata"] = write_metadata(upload.metadata)
    return Response(status_code=200, headers=headers)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    operation_id="append_to_upload",
    summary="Send bytes",
    responses=documents.TAKEN | tells(400, 404, 408, 409, 410, 411, 412, 413, 415, 423, 460, 507),
    openapi_extra=documents.SEND,
)
async def append(caller: Writer, desk: AtDesk, request: Request, upload_id: UploadId) -> Response:
    """Append the body at `Upload-Offset`. With `Upload-Checksum` it is kept whole or not at all."""
    headers = request.headers
    check_version(headers)
    check_body_type(headers)
    arrival = Arrival(
        upload_id,
        read_number(headers, "Upload-Offset"),
        read_body_length(headers),
        request.stream(),
        read_checksum(headers),
    )
    await _receive(desk, caller, arrival)
    upload = await desk.in_thread(lambda: find_upload(desk, caller, upload_id))
    return Response(status_code=204, headers=_progress(upload))


@router.delete(
    "/uploads/{upload_id}",
    status_code=204,
    operation_id="drop_upload",
    summary="Drop an upload",
    responses=tells(404, 409, 410, 412),
    openapi_extra=documents.ASK,
)
def drop(caller: Writer, desk: AtDesk, request: Request, upload_id: UploadId) -> Response:
    """End an upload that no slide was made of; asked for again it is 410."""
    check_version(request.headers)
    end_upload(desk, caller, upload_id)
    return Response(status_code=204)


def tell_upload(upload: Upload) -> UploadTold:
    """The upload as it is told."""
    if upload.state == "dropped":
        raise BadRequestError(f"The upload {upload.id} was dropped.")
    return UploadTold(
        id=upload.id,
        state=upload.state,
        filename=bare_filename(upload.filename),
        length_bytes=upload.length_bytes,
        offset_bytes=upload.offset_bytes,
        sha256=upload.sha256,
        expires_at=when(upload.expires_at),
    )


async def _receive(desk: Desk, caller: Any, arrival: Arrival) -> None:
    try:
        await receive(desk, caller, arrival)
    except ClientDisconnect as error:
        # Nobody hears this; what came is kept.
        raise BadRequestError("The connection ended before the body did.", "Go on from the offset.") from error


def _progress(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset_bytes), "Upload-Expires": write_time(upload.expires_at)}


def _place(upload: Upload) -> dict[str, str]:
    return {"Location": f"/v1/uploads/{upload.id}"}
