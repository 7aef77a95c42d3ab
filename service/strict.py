"""A query that is not understood is refused: a mistyped filter must not answer with everything."""

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError


async def refuse_unknown_query(request: Request) -> None:
    """Raise for a query parameter that the interface does not document for this operation."""
    if not request.query_params:
        return
    path = getattr(request.scope.get("route"), "path_format", "")
    operations: dict[str, Any] = request.app.openapi()["paths"].get(path, {})
    method = request.method.lower()
    operation = operations.get(method) or (operations.get("get") if method == "head" else None)
    if operation is None:
        return
    known = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        told = f"unknown here; known: {', '.join(sorted(known)) or 'none'}"
        raise RequestValidationError([{"loc": ("query", name[:100]), "msg": told} for name in unknown[:20]])
