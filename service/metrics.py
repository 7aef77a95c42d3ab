"""Prometheus metrics of one app, in a registry of its own."""

import time
from collections import Counter as Slots

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.deployment import Deployment
from service.problems import METHODS
from workers.ledger.jobs import count_states
from workers.ledger.seats import list_seats

SEEN_WITHIN_S = 60.0
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What is counted while requests pass, and what is looked up when it is asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("histoserve_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "histoserve_request_seconds",
            "Seconds to the end of an answer.",
            labels[:2],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.received = Counter(
            "histoserve_received_bytes", "Bytes of request bodies.", labels[:2], registry=self.registry
        )
        self.jobs = Gauge("histoserve_jobs", "Jobs by state.", ("state",), registry=self.registry)
        self.workers = Gauge(
            "histoserve_workers", "Slots of workers seen lately.", ("provider",), registry=self.registry
        )
        self.waiting = Gauge("histoserve_rings_waiting", "Rings in Redis; -1 where it is away.", registry=self.registry)

    def render(self, deployment: Deployment) -> bytes:
        """Everything as Prometheus reads it."""
        with deployment.ledger.read() as connection:
            states, seats = count_states(connection), list_seats(connection, SEEN_WITHIN_S)
        for state in STATES:
            self.jobs.labels(state).set(states.get(state, 0))
        slots = Slots[str]()
        for seat in seats:
            slots[seat.provider] += seat.slots
        self.workers.clear()
        for provider, count in slots.items():
            self.workers.labels(provider).set(count)
        waiting = deployment.doorbell.count_waiting()
        self.waiting.set(-1 if waiting is None else waiting)
        return generate_latest(self.registry)


class CountRequests:
    """An ASGI layer that counts answers by the route they came from; unknown paths are one route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, received = time.perf_counter(), 500, 0

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, receive_counted, send_counted)
        finally:
            # A method or a path of the caller's own making must not become a series of its own.
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in METHODS and route != "unknown" else "ANY"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(method, route).observe(time.perf_counter() - start)
            if received:
                self._metrics.received.labels(method, route).inc(received)
