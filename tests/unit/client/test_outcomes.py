"""What came of many slides: exit codes, events, spans of time."""

import pytest

from models.errors import HistoserveError, MppMissingError, NoTissueError, NotScorableError, Reason, WrongStainError
from service.client.errors import ServiceAwayError, error_of
from service.client.watching import read_events
from service.commands.keys import DurationInvalidError, read_span
from service.commands.placing import ends_all, worst_code
from service.commands.showing import span

AWAY, REFUSED, BLANK = ServiceAwayError("a"), MppMissingError("m"), NoTissueError("n")


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], 0),
        ([None, None], 0),
        ([None, BLANK], 3),
        ([BLANK, REFUSED, None], 2),
        ([AWAY, REFUSED, BLANK], 1),
        ([HistoserveError("x")], 1),
    ],
)
def test_the_worst_of_all_outcomes_is_the_exit_code(errors, code: int) -> None:
    assert worst_code(errors) == code


@pytest.mark.parametrize(
    ("slug", "blame", "kind"),
    [
        ("not-scorable", "user_error", NotScorableError),
        ("wrong-stain", "user_error", WrongStainError),
        ("no-tissue", "user_error", NoTissueError),
        ("mpp-missing", "user_error", MppMissingError),
        ("internal", "system_error", HistoserveError),
    ],
)
def test_a_slug_that_is_known_has_its_class(slug: str, blame: str, kind: type[HistoserveError]) -> None:
    error = error_of({"type": f"urn:histoserve:{slug}", "title": "t", "detail": "d", "blame": blame, "remedy": "r"})
    assert type(error) is kind
    assert (error.slug, error.detail, error.remedy) == (slug, "d", "r")


@pytest.mark.parametrize(("blame", "code"), [("user_error", 2), ("system_error", 1), (None, 1)])
def test_a_slug_of_a_newer_service_goes_by_who_is_to_blame(blame: str | None, code: int) -> None:
    error = error_of({"type": "urn:histoserve:brand-new", "title": "New", "detail": "d", "blame": blame})
    assert (error.slug, error.title, worst_code([error])) == ("brand-new", "New", code)


def test_what_is_the_same_for_every_slide_ends_all() -> None:
    unauthorized = error_of({"type": "urn:histoserve:unauthorized", "title": "t", "detail": "d", "blame": "user_error"})
    assert [ends_all(error) for error in (AWAY, unauthorized, REFUSED)] == [True, True, False]


def event(seq: int) -> list[str]:
    data = f'data: {{"seq": {seq}, "kind": "queued", "at": "2026-01-01T00:00:00Z", "data": {{}}, "newer": 1}}'
    return [f"id: {seq}", "event: queued", data, ""]


def test_events_are_read_from_a_stream_and_half_a_one_is_left_out() -> None:
    lines = [": hello", "", *event(1), ": still here", "", *event(2), *event(3)[:-1]]
    assert [found.seq for found in read_events(iter(lines))] == [1, 2]


def test_spans_of_time_are_read_and_told() -> None:
    assert [read_span(text) for text in ("12h", "90d", "52w")] == [43_200, 7_776_000, 31_449_600]
    assert [span(s) for s in (None, 4.4, 75, 3720)] == ["", "4 s", "1 min 15 s", "1 h 02 min"]
    for wrong in ("", "d", "0d", "-1d", "1.5h", "10", "1y", "٣d" * 9):
        with pytest.raises(DurationInvalidError):
            read_span(wrong)


def test_the_reasons_of_a_problem_come_back_and_a_newer_service_may_say_more() -> None:
    reasons = (Reason("out-of-focus", "Blurred.", 0.9, 0.5, forcible=True), Reason("wrong-stain", "Brown.", "a", "b"))
    told = NotScorableError("d", "r", reasons).as_problem()
    told["reasons"] = [*(reason | {"newer": 1} for reason in told["reasons"]), "no reason", {"slug": "half"}]
    error = error_of(told)
    assert (type(error), error.reasons) == (NotScorableError, reasons)
