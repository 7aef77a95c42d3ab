"""The interface is the committed one, and says everything a caller must know."""

import json
import re
from typing import Any

import pytest

from service.openapi import PATH, render_openapi

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
OPEN = {"/livez", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(render_openapi())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, methods in document["paths"].items() for method, op in methods.items()]


def test_the_committed_interface_is_the_one_that_is_served(document):
    committed = PATH.read_text(encoding="utf-8")
    assert committed == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "run `make openapi`"


def test_every_operation_says_what_it_is(document):
    assert document["openapi"].startswith("3.1")
    names = [op["operationId"] for _, _, op in operations(document)]
    assert len(set(names)) == len(names)
    for path, method, op in operations(document):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", op["operationId"]), (path, method)
        assert op["summary"] and op["description"] and op["tags"], (path, method)


def test_every_operation_under_v1_needs_a_key_and_documents_its_refusals(document):
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, method, op in operations(document):
        if path in OPEN or method == "options":
            assert "security" not in op
            continue
        assert op["security"] == [{"HTTPBearer": []}], (path, method)
        assert {"401", "403", "422", "500", "503"} <= set(op["responses"]), (path, method)
        for status, answer in op["responses"].items():
            if int(status) >= 400:
                assert answer["content"] == PROBLEM, (path, method, status)


def test_the_frameworks_own_validation_errors_are_nowhere(document):
    assert "HTTPValidationError" not in json.dumps(document)


def test_no_header_or_query_can_be_null(document):
    parameters = [p for _, _, op in operations(document) for p in op.get("parameters", ())]
    assert parameters
    assert [p for p in parameters if {"type": "null"} in p["schema"].get("anyOf", ())] == []


def test_what_makes_work_needs_an_idempotency_key(document):
    for path in ("/v1/jobs", "/v1/batches"):
        needed = {p["name"]: p["required"] for p in document["paths"][path]["post"]["parameters"]}
        assert needed == {"Idempotency-Key": True}
