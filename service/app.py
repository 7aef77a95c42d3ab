"""The HTTP service: `create_app(settings)` puts the endpoints, the problem documents and the limits together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

import anyio
from fastapi import Depends, FastAPI

from service.deployment import open_deployment
from service.document import describe
from service.guard import Guard
from service.health import PackageWatch
from service.metrics import CountRequests, Metrics
from service.problems import add_problem_handlers
from service.routes import admin, batches, events, health, jobs, models, rescoring, results, slides, uploads
from service.strict import refuse_unknown_query
from service.uploads.sweep import open_desk
from workers.contract.settings import Settings

THREADS = 8
DESCRIPTION = (
    "Whole-slide inference for pathology. **Research use only. Not for diagnosis.** "
    "Every error is a problem document (RFC 9457). Work is accepted with 202 and a place to ask for it."
)


def create_app(settings: Settings) -> FastAPI:
    """The ASGI app of one deployment; its parts are opened when it starts and closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Threads that wait for one interpreter only hinder each other; a slow disk has threads of its own.
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        deployment = open_deployment(settings)
        app.state.deployment = deployment
        try:
            async with open_desk(deployment) as app.state.desk:
                yield
        finally:
            deployment.close()

    app = FastAPI(
        title="histoserve",
        version=version("histoserve"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(refuse_unknown_query)],
    )
    app.state.metrics, app.state.packages = Metrics(), PackageWatch()
    app.state.streams = events.OpenStreams()
    for module in (uploads, slides, models, jobs, batches, events, results, rescoring, admin, health):
        app.include_router(module.router)
    app.add_middleware(Guard)
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    add_problem_handlers(app)
    app.openapi = partial(describe, app)  # type: ignore[method-assign] # as FastAPI says to
    return app
