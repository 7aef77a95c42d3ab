"""Slides: handed in, waited for, listed, deleted."""

import hashlib
import time
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.requests import ClientDisconnect

from service.access import Caller, Reader, Writer
from service.deployment import Deployed, Deployment
from service.once import IdempotencyKey, respond
from service.problems import tells
from service.uploads.desk import Arrival, AtDesk, Desk, begin_upload, complete_stream, end_upload, find_upload, receive
from service.uploads.documented import CONTENT
from service.uploads.errors import BadRequestError
from service.uploads.headers import bare_filename, read_body_length
from service.uploads.register import register_slide, remove_slide, tell_slide
from service.wire import OrderIds, Sha256, SlidePage, SlideSent, SlideTold, Stain
from workers.ledger.slides import get_slide, list_slides

router = APIRouter(prefix="/v1", tags=["slides"])

POLL_S = 0.25
LONGEST_WAIT_S = 30
MADE: dict[int | str, dict[str, Any]] = {
    200: {"model": SlideTold, "description": "The same bytes are known"},
    202: {"model": SlideTold},
}


class Content(OrderIds):
    """What is said of a slide whose bytes are the body."""

    filename: Annotated[str | None, Field(max_length=255)] = None
    sha256: Sha256 | None = None
    mpp: Annotated[float | None, Field(gt=0, le=100, description="um per level-0 px.")] = None
    stain: Stain | None = None


@router.put(
    "/slides/content",
    status_code=202,
    summary="Hand in a slide's bytes",
    response_model=SlideTold,
    responses=MADE | tells(400, 408, 409, 411, 413, 423, 507),
    openapi_extra=CONTENT,
)
async def put_content(
    caller: Writer, desk: AtDesk, request: Request, said: Annotated[Content, Query()]
) -> JSONResponse:
    """Make a slide of the body (`curl -T`). If it breaks off nothing is kept: long ways are safer with an upload."""
    length = read_body_length(request.headers)
    filename = bare_filename(said.filename)
    metadata = {} if filename is None else {"filename": filename}
    upload = await desk.in_thread(lambda: begin_upload(desk, caller, length, metadata))
    try:
        await receive(desk, caller, Arrival(upload.id, 0, length, request.stream()))
        await desk.in_thread(lambda: _complete(desk, caller, upload.id, length))
        sent = _sent(said, upload.id)
        answer = await run_in_threadpool(register_slide, desk.deployment, caller, sent, None)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await desk.in_thread(lambda: end_upload(desk, caller, upload.id))
        if isinstance(error, ClientDisconnect):
            raise BadRequestError("The connection ended before the body did.", "Send it again.") from error
        raise
    return respond(answer)


@router.post(
    "/slides",
    status_code=202,
    summary="Register a slide",
    operation_id="register_slide",
    response_model=SlideTold,
    responses=MADE | tells(400, 404, 409, 410, 413, 507),
)
def register(caller: Writer, deployed: Deployed, sent: SlideSent, key: IdempotencyKey = None) -> JSONResponse:
    """Make a slide of an upload, or of a file at an allow-listed place. It is validated next: ask its `Location`."""
    return respond(register_slide(deployed, caller, sent, key))


@router.get("/slides", summary="List slides", responses=tells(400))
def find_slides(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    response: Response,
    accession: Annotated[str | None, Query(max_length=128)] = None,
    external_id: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> SlidePage:
    """The caller's slides, newest first; `Link: <…>; rel="next"` leads to what follows."""
    with deployed.ledger.read() as connection:
        page = list_slides(
            connection, caller.tenant, accession=accession, external_id=external_id, cursor=cursor, limit=limit
        )
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return SlidePage(items=tuple(tell_slide(slide) for slide in page.items), next=page.cursor)


@router.get(
    "/slides/{slide_id}",
    summary="Ask about a slide",
    response_model=SlideTold,
    responses={**tells(404, 410), 304: {"description": "Not Modified"}},
)
async def show_slide(
    caller: Reader,
    deployed: Deployed,
    slide_id: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait until it is validated.")] = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The slide. With `wait`, the answer comes when it is ready or refused, or in time."""
    until = time.monotonic() + wait
    while True:
        told = await run_in_threadpool(_look, deployed, caller, slide_id)
        if told.state != "validating" or time.monotonic() >= until:
            break
        await anyio.sleep(min(POLL_S, max(0.0, until - time.monotonic())))
    body = told.model_dump_json()
    headers = {"ETag": f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'}
    if if_none_match is not None and headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    if told.state == "validating":
        headers["Retry-After"] = "2"
    return Response(body, media_type="application/json", headers=headers)


@router.delete(
    "/slides/{slide_id}",
    status_code=204,
    summary="Delete a slide",
    operation_id="delete_slide",
    responses=tells(404, 409, 410),
)
def drop_slide(caller: Writer, deployed: Deployed, slide_id: str) -> Response:
    """Delete a slide and its bytes; 409 while a job works on it. Results made of it stay."""
    remove_slide(deployed, caller, slide_id)
    return Response(status_code=204)


def _look(deployed: Deployment, caller: Caller, slide_id: str) -> SlideTold:
    with deployed.ledger.read() as connection:
        return tell_slide(get_slide(connection, caller.tenant, slide_id))


def _complete(desk: Desk, caller: Caller, upload_id: str, length: int | None) -> None:
    upload = find_upload(desk, caller, upload_id)
    if length is not None and upload.offset_bytes != length:
        raise BadRequestError(f"{length} bytes were announced and {upload.offset_bytes} came.", "Send it again.")
    complete_stream(desk, caller, upload_id)


def _sent(said: Content, upload_id: str) -> SlideSent:
    own = ("filename", "sha256", "mpp", "stain")
    ids = OrderIds(**said.model_dump(exclude=set(own)))
    return SlideSent(upload_id=upload_id, ids=ids, **said.model_dump(include=set(own)))
