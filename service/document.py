"""What the interface says of itself: the OpenAPI 3.1 document of an app."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the app, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        for operations in document["paths"].values():
            for operation in operations.values():
                for parameter in operation.get("parameters", ()):
                    _drop_null(parameter["schema"])
        app.openapi_schema = document
    return app.openapi_schema


def _drop_null(schema: dict[str, Any]) -> None:
    """A header or a query cannot say null: what may be left out is not what may be null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema.update(kinds[0] | schema)
