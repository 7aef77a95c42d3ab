"""What is sent again, how often, and after which pauses."""

import httpx
import pytest

from models.errors import HistoserveError, IntegrityError, RefusedInputError
from service.client.calls import Calls, Patience, may_repeat
from service.client.errors import ServiceAwayError
from service.client.place import Place
from workers.contract.errors import QueueFullError, UnknownError

KEY = {"Idempotency-Key": "k"}
PROBLEM = {"title": "t", "detail": "d", "blame": "system_error"}


class Failing(httpx.BaseTransport):
    """Answers what it is given, one after the other; an error is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def calls_over(*answers: httpx.Response | Exception, **patience) -> tuple[Calls, Failing, list[float]]:
    pauses: list[float] = []
    transport = Failing(*answers)
    place = Place("http://127.0.0.1:1", "hs.k.s")
    return Calls(place, Patience(**patience), transport, pauses.append), transport, pauses


def problem(status: int, slug: str, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=PROBLEM | {"type": f"urn:histoserve:{slug}"}, headers=headers)


LOST = httpx.ReadError("reset")


@pytest.mark.parametrize(
    ("method", "headers", "repeats"),
    [
        ("GET", {}, True),
        ("HEAD", {}, True),
        ("POST", {}, False),
        ("POST", KEY, True),
        ("PUT", KEY, True),
        ("PUT", {}, False),
        ("PATCH", KEY, False),
        ("DELETE", {}, False),
    ],
)
def test_only_what_does_no_more_when_sent_twice_is_sent_twice(method: str, headers: dict, repeats: bool) -> None:
    assert may_repeat(method, headers) is repeats
    calls, transport, _ = calls_over(LOST, httpx.Response(200))
    if repeats:
        assert calls.send(method, "/v1/x", headers).status_code == 200
    else:
        with pytest.raises(ServiceAwayError):
            calls.send(method, "/v1/x", headers)
    assert len(transport.requests) == (2 if repeats else 1)


def test_the_same_key_goes_with_every_try() -> None:
    calls, transport, _ = calls_over(LOST, problem(503, "ledger-away"), httpx.Response(202))
    calls.send("POST", "/v1/jobs", KEY, json={"a": 1})
    assert [request.headers["Idempotency-Key"] for request in transport.requests] == ["k"] * 3
    assert {request.content for request in transport.requests} == {b'{"a":1}'}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 423, 429])
def test_what_the_caller_is_to_blame_for_is_never_sent_again(status: int) -> None:
    calls, transport, pauses = calls_over(problem(status, "not-found", **{"Retry-After": "1"}))
    with pytest.raises(UnknownError):
        calls.send("GET", "/v1/x")
    assert (len(transport.requests), pauses) == (1, [])


@pytest.mark.parametrize("slug", ["integrity", "model-tampered", "disk-full"])
def test_a_fault_that_time_does_not_mend_is_told_at_once(slug: str) -> None:
    calls, transport, _ = calls_over(problem(500, slug))
    with pytest.raises(HistoserveError) as caught:
        calls.send("GET", "/v1/x")
    assert (caught.value.slug, len(transport.requests)) == (slug, 1)


def test_pauses_double_are_spread_and_have_an_end() -> None:
    patience = Patience(first_s=1, most_s=8)
    assert [patience.pause_s(n, None, 1.0) for n in (1, 2, 3, 4, 5, 9)] == [1, 2, 4, 8, 8, 8]
    assert [patience.pause_s(n, None, 0.0) for n in (1, 2, 3)] == [0.5, 1, 2]


def test_what_the_service_tells_is_the_least_pause() -> None:
    calls, _, pauses = calls_over(problem(503, "busy", **{"Retry-After": "7"}), httpx.Response(200))
    calls.send("GET", "/v1/x")
    assert pauses == [7]


def test_a_service_that_wants_to_be_left_alone_for_long_is_told_of() -> None:
    calls, _, pauses = calls_over(problem(503, "busy", **{"Retry-After": "3600"}))
    with pytest.raises(HistoserveError):
        calls.send("GET", "/v1/x")
    assert pauses == []


def test_tries_have_an_end() -> None:
    calls, transport, pauses = calls_over(*[LOST] * 4, tries=4)
    with pytest.raises(ServiceAwayError, match=r"127\.0\.0\.1:1 does not answer .*reset"):
        calls.send("GET", "/v1/x")
    assert (len(transport.requests), len(pauses)) == (4, 3)


def test_problems_have_the_class_they_have_in_the_service() -> None:
    for answer, kind in (
        (problem(429, "queue-full"), QueueFullError),
        (problem(500, "integrity"), IntegrityError),
        (httpx.Response(404, text="<html>"), RefusedInputError),
        (
            httpx.Response(418, json={"type": "about:blank", "title": "Teapot", "blame": "user_error"}),
            RefusedInputError,
        ),
    ):
        calls, _, _ = calls_over(answer)
        with pytest.raises(kind):
            calls.send("GET", "/v1/x")


def test_the_key_is_not_in_what_is_printed() -> None:
    assert "secret" not in repr(Place("http://h", "hs.k.secret"))
