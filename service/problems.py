"""Errors as problem documents (RFC 9457): one table from slug to HTTP status, for every answer but a success."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from models.errors import HistoserveError, InternalError
from service.ranges import RangeNotSatisfiableError

MEDIA_TYPE = "application/problem+json"
RETRY_S = "5"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

STATUS: Mapping[str, int] = {
    "bad-request": 400,
    "idempotency-key-missing": 400,
    "cursor-invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "model-unknown": 404,
    "result-not-ready": 404,
    "no-result": 404,
    "state-conflict": 409,
    "not-rescorable": 409,
    "offset-conflict": 409,
    "request-timeout": 408,
    "gone": 410,
    "upload-too-large": 413,
    "length-required": 411,
    "tus-version": 412,
    "media-type": 415,
    "range-not-satisfiable": 416,
    "upload-locked": 423,
    "queue-full": 429,
    "too-many-streams": 429,
    "checksum-mismatch": 460,
    "checksum-unsupported": 400,
    "ledger-away": 503,
    "store-failed": 503,
    "not-ready": 503,
    "disk-full": 507,
    "internal": 500,
    "integrity": 500,
    "model-tampered": 500,
}
"""What is not named here is 422 where the caller is to blame, 500 where we are."""


def status_of(error: HistoserveError) -> int:
    """The HTTP status that tells of an error."""
    return STATUS.get(error.slug, 422 if error.blame == "user_error" else 500)


def problem_of(error: HistoserveError) -> JSONResponse:
    """The answer that tells of an error."""
    status = status_of(error)
    headers = {}
    if status in (423, 429, 503):
        headers["Retry-After"] = RETRY_S
    if isinstance(error, RangeNotSatisfiableError):
        headers["Content-Range"] = f"bytes */{error.size_bytes}"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(status, error.as_problem(), headers)


def problem_response(status: int, members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem document with its status."""
    return JSONResponse(
        {"status": status, **members}, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Make every failure of the app a problem document: ours, the framework's, and what nobody foresaw."""
    app.add_exception_handler(HistoserveError, _tell_ours)
    app.add_exception_handler(RequestValidationError, _tell_validation)
    app.add_exception_handler(HTTPException, _tell_framework)
    app.add_exception_handler(Exception, _tell_unforeseen)


def _tell_ours(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HistoserveError):
        raise error
    if status_of(error) >= 500:
        structlog.get_logger().error("failed", path=request.url.path, slug=error.slug, detail=error.detail)
    return problem_of(error)


def _tell_validation(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [{"where": [str(part) for part in item["loc"]], "what": item["msg"]} for item in list(error.errors())[:20]]
    first = errors[0]
    members = {
        "type": "urn:histoserve:request-invalid",
        "title": "The request is not valid",
        "detail": f"{'.'.join(first['where'])}: {first['what']}.",
        "blame": "user_error",
        "errors": errors,
    }
    return problem_response(422, members)


def _tell_framework(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    members = {
        "type": "about:blank",
        "title": str(error.detail),
        "detail": f"{request.method} {request.url.path}: {error.detail}.",
        "blame": "user_error" if error.status_code < 500 else "system_error",
    }
    headers = {"Allow": _methods_of(request)} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return problem_response(error.status_code, members, headers)


def _methods_of(request: Request) -> str:
    """All methods of a path. The framework names those of the first route that has the path."""
    if literal := request.app.openapi()["paths"].get(request.url.path):
        return ", ".join(method for method in METHODS if method.lower() in literal)
    known = {name: request.scope[name] for name in ("type", "path", "root_path", "headers", "query_string")}
    found = [
        method
        for method in METHODS
        if any(route.matches({**known, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    return ", ".join(found)


def _tell_unforeseen(request: Request, error: Exception) -> JSONResponse:
    structlog.get_logger().error("unforeseen", path=request.url.path, method=request.method, exc_info=error)
    return problem_of(InternalError("The request failed inside the service; the log has the reason."))


def tells(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the problem documents an endpoint may answer with; those that all may are in it."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _phrase(status), "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, 401, 403, 422, 500, 503})
    }


def _phrase(status: int) -> str:
    own = {460: "Checksum Mismatch"}
    return own.get(status) or HTTPStatus(status).phrase
