from contextlib import asynccontextmanager
from fastapi import FastAPI
from service.deployment import open_deployment
from service.guard import Guard
from service.problems import add_problem_handlers
from service.routes import slides, uploads
from service.uploads.sweep import open_desk


def create_app(settings):
    @asynccontextmanager
    async def lifespan(app):
        deployment = open_deployment(settings)
        app.state.deployment = deployment
        try:
            async with open_desk(deployment) as app.state.desk:
                yield
        finally:
            deployment.close()

    app = FastAPI(lifespan=lifespan, redirect_slashes=False)
    for module in (uploads, slides):
        app.include_router(module.router)
    app.add_middleware(Guard)
    add_problem_handlers(app)
    return app
