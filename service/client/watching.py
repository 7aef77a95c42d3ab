"""What happens to a job, as it happens: server-sent events, gone on with wherever the stream broke off."""

import json
from collections.abc import Iterator

import httpx

from service.client.calls import Calls, away, may_mend, told_pause_s
from service.client.errors import error_of_answer
from service.wire import EventTold

ENDS = frozenset({"succeeded", "failed", "cancelled"})
STREAM = {"Accept": "text/event-stream", "Cache-Control": "no-store"}


def watch_job(calls: Calls, job_id: str, after: int = 0) -> Iterator[EventTold]:
    """The events of a job behind number `after`, each once and in order, until the job is over."""
    failures = 0
    while True:
        reason: Exception = away(calls.place, httpx.ReadError("the stream ended"))
        told_s = None
        try:
            headers = STREAM | {"Last-Event-ID": str(after)}
            with calls.http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    reason, told_s = error_of_answer(answer), told_pause_s(answer)
                    if not may_mend(answer):
                        raise reason
                else:
                    for event in read_events(answer.iter_lines()):
                        if event.seq <= after:
                            continue
                        after, failures = event.seq, 0
                        yield event
                        if event.kind in ENDS:
                            return
                    if _is_over(calls, job_id):
                        # Nothing lies behind `after`: the service ends such a stream itself.
                        return
        except httpx.TransportError as error:
            reason = away(calls.place, error)
        failures += 1
        calls.rest(failures, told_s, reason)


def _is_over(calls: Calls, job_id: str) -> bool:
    return calls.send("GET", f"/v1/jobs/{job_id}").json().get("ended_at") is not None


def read_events(lines: Iterator[str]) -> Iterator[EventTold]:
    """The events in the lines of a stream (WHATWG HTML, 9.2.6); one that is not whole at the end is left out."""
    data: list[str] = []
    for line in lines:
        if line == "":
            if data:
                yield EventTold.model_validate(json.loads("\n".join(data)), extra="ignore")
            data = []
        elif line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
