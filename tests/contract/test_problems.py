"""Every refusal is a problem document, whatever is asked of whatever path."""

import json
import re
from collections.abc import Iterator

import pytest
from httpx import Client

from models.errors import HistoserveError
from service.openapi import PATH
from service.problems import status_of
from tests.serving import Served, made_settings, served

PATHS = json.loads(PATH.read_text())["paths"]
CLOSED = [(method, path) for path, ops in PATHS.items() for method, op in ops.items() if "security" in op]


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Served]:
    with served(made_settings(tmp_path_factory.mktemp("home"))) as service:
        yield service


@pytest.fixture(scope="module")
def client(service) -> Iterator[Client]:
    with Client(base_url=service.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def bearer(service) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.key()}"}


def check(answer, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] and document["title"] and document["detail"]
    return document


@pytest.mark.parametrize(("method", "path"), CLOSED, ids=[f"{m.upper()} {p}" for m, p in CLOSED])
def test_nothing_is_answered_without_a_key(client, method, path):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Offset": "0", "Idempotency-Key": "k"}
    answer = client.request(method, re.sub(r"{\w+}", "x", path), headers=headers)
    if method == "head":
        assert answer.status_code == 401
    else:
        assert check(answer, 401)["type"] == "urn:histoserve:unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/jobs", "/v1/jobs/", "/docs", "/v1/nothing/here", "/v1/%00"])
def test_an_unknown_path_is_a_problem(client, path):
    check(client.get(path), 404)


@pytest.mark.parametrize("path", list(PATHS))
def test_a_wrong_method_is_told_all_right_ones(client, path):
    concrete = re.sub(r"{\w+}", "x", path)
    answer = client.request("TRACE", concrete)
    check(answer, 405)
    told = {method.lower() for method in answer.headers["allow"].split(", ")}
    assert set(PATHS[path]) <= told <= {*PATHS[path], "head"}


def test_a_scope_that_is_missing_is_named(client, bearer):
    document = check(client.get("/v1/admin/keys", headers=bearer), 403)
    assert "'admin'" in document["detail"]


def test_a_query_that_is_not_understood_is_refused(client, bearer):
    document = check(client.get("/v1/jobs?sttus=queued", headers=bearer), 422)
    assert document["errors"][0]["where"] == ["query", "sttus"]
    assert "status" in document["errors"][0]["what"]


@pytest.mark.parametrize("since", ["0.5", "1700000000", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_time_is_written_as_a_time(client, bearer, since):
    assert check(client.get("/v1/jobs", params={"since": since}, headers=bearer), 422)


def test_a_body_that_is_no_json_is_a_problem(client, bearer):
    headers = bearer | {"Content-Type": "application/json", "Idempotency-Key": "k"}
    check(client.post("/v1/jobs", content=b"{", headers=headers), 422)
    check(client.post("/v1/jobs", content=b"\xff\xfe{", headers=headers), 400)


def test_every_error_has_a_status_that_fits_its_blame():
    kinds = list(_all_kinds(HistoserveError))
    assert len(kinds) > 30
    for kind in kinds:
        status = status_of(kind.__new__(kind))
        assert (status < 500) == (kind.blame == "user_error"), kind.slug


def _all_kinds(kind: type[HistoserveError]) -> Iterator[type[HistoserveError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _all_kinds(child)
