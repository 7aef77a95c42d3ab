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


if __name__ == "__main__":
    import json, sys, os
    import uvicorn
    from service.serve import listen_on, url_of
    from workers.contract.settings import Settings
    sys.path.insert(0, os.getcwd())
    l = listen_on("127.0.0.1", int(sys.argv[3]))
    c = uvicorn.Config(create_app(Settings()), http="h11", log_config=None, lifespan="on", access_log=False)
    s = uvicorn.Server(c)
    print(json.dumps({"url": url_of(l)}), flush=True)
    s.run(sockets=[l])
