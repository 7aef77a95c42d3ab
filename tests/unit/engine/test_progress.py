"""Progress: JSON lines for programs, not more than one a second, the last one always."""

import io
import json

from workers.engine.progress import Event, console_report, json_lines_report
from workers.engine.stopwatch import Stopwatch


def test_lines_are_thinned_by_time_and_the_end_is_always_told() -> None:
    stream, now = io.StringIO(), iter([0.0, 0.1, 0.2, 1.5, 1.6])
    report = json_lines_report(stream, clock=lambda: next(now))
    for done in (1, 2, 3, 4, 5):
        report(Event("tiles", done, 5))
    told = [json.loads(line)["done"] for line in stream.getvalue().splitlines()]
    assert told == [1, 4, 5]


def test_stages_are_thinned_on_their_own() -> None:
    stream = io.StringIO()
    report = json_lines_report(stream, clock=lambda: 0.0)
    report(Event("tiles", 1, 5))
    report(Event("pyramid", 1, 5))
    assert [json.loads(line)["stage"] for line in stream.getvalue().splitlines()] == ["tiles", "pyramid"]


def test_what_is_no_terminal_gets_json() -> None:
    stream = io.StringIO()
    with console_report(stream) as report:
        report(Event("tiles", 1, 1))
    assert json.loads(stream.getvalue()) == {"stage": "tiles", "done": 1, "total": 1}


def test_seconds_add_up_by_stage() -> None:
    watch = Stopwatch()
    watch.add("read", 1.0)
    watch.add("infer", 2.0)
    watch.add("read", 0.5)
    assert watch.seconds() == {"read": 1.5, "infer": 2.0}
    with watch.stage("keep"):
        pass
    assert list(watch.seconds()) == ["read", "infer", "keep"]
