"""Liveness, readiness with its reasons, metrics. No key is needed, nothing of a tenant is told."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from service.deployment import Deployed
from service.health import find_reasons
from service.wire import Live, Ready, WorkerTold, when
from workers.ledger.seats import Seat

router = APIRouter(tags=["health"])

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "Something must be mended first"}}


@router.get("/livez", summary="Does the process answer")
def is_live() -> Live:
    """200 while the process answers."""
    return Live()


@router.get("/readyz", summary="Can work be taken and done", response_model=Ready, responses=NOT_READY)
def is_ready(deployed: Deployed, request: Request) -> JSONResponse:
    """200 `ok` or `degraded` (work is accepted, and done when what is away is back); 503 with the reasons otherwise."""
    reasons, seats = find_reasons(deployed, request.app.state.packages)
    fails = any(reason.severity == "fails" for reason in reasons)
    status = "failing" if fails else "degraded" if reasons else "ok"
    slots: Counter[str] = Counter()
    for seat in seats:
        slots[seat.provider] += seat.slots
    ready = Ready(status=status, reasons=tuple(reasons), slots=slots)
    return JSONResponse(ready.model_dump(mode="json"), status_code=503 if fails else 200)


@router.get(
    "/metrics",
    summary="Read the metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read_metrics(deployed: Deployed, request: Request) -> PlainTextResponse:
    """Prometheus text: jobs by state, workers, rings that wait, requests and their seconds by route."""
    return PlainTextResponse(request.app.state.metrics.render(deployed), media_type="text/plain; version=0.0.4")


def tell_worker(seat: Seat) -> WorkerTold:
    """A worker as it is told."""
    return WorkerTold(
        name=seat.name,
        host=seat.host,
        slots=seat.slots,
        provider=seat.provider,
        code_version=seat.code_version,
        packages=seat.packages,
        started_at=when(seat.started_at),
        seen_at=when(seat.seen_at),
    )
