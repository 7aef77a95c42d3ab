"""Requests that are sent again where that is safe, after a pause, and not for ever."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from service.client.errors import ServiceAwayError, error_of_answer
from service.client.place import Place

TRANSIENT = frozenset({500, 502, 503, 504})
"""Answers that another try may better; what is a caller's fault stays one."""
LASTING = frozenset({"integrity", "model-tampered", "disk-full"})
"""Faults of the service that time does not mend."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENCY = "Idempotency-Key"
TIMEOUT = httpx.Timeout(60.0, connect=10.0)


@dataclass(frozen=True)
class Patience:
    """How often something is tried, and how long the pauses between are."""

    tries: int = 8
    first_s: float = 0.5
    most_s: float = 20.0
    most_told_s: float = 120.0
    """The longest Retry-After that is obeyed; what asks for more is told to the caller."""

    def pause_s(self, failures: int, told_s: float | None, chance: float) -> float:
        """Seconds to wait after so many failures in a row: twice as long each time, spread by `chance` (0 to 1).

        Never less than what the service told. The spread keeps many clients from coming back all at once.
        """
        grown_s = min(self.most_s, self.first_s * 2.0 ** (failures - 1))
        return max(told_s or 0.0, grown_s * (0.5 + 0.5 * chance))


def may_repeat(method: str, headers: Mapping[str, str]) -> bool:
    """True where sending a request twice does no more than sending it once."""
    return method in SAFE or (method in ("PUT", "POST") and IDEMPOTENCY in headers)


def told_pause_s(answer: httpx.Response) -> float | None:
    """The seconds of Retry-After, where the answer has one in seconds."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def may_mend(answer: httpx.Response) -> bool:
    """True where another try may be answered better; the body is read."""
    return answer.status_code in TRANSIENT and error_of_answer(answer).slug not in LASTING


class Calls:
    """A connection to a service, shared by threads."""

    def __init__(
        self,
        place: Place,
        patience: Patience | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.place = place
        self.patience = patience or Patience()
        self.sleep = sleep
        self.http = httpx.Client(
            base_url=place.url,
            headers={"Authorization": f"Bearer {place.key}", "User-Agent": "histoserve-client"},
            timeout=TIMEOUT,
            transport=transport,
            trust_env=not place.is_local,
        )

    def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        """The answer below 400; repeated where that is safe.

        Raises
        ------
        HistoserveError
            What the service told; `ServiceAwayError` where it told nothing.
        """
        headers = headers or {}
        failures = 0
        while True:
            try:
                answer = self.http.request(method, path, headers=headers, **options)
            except httpx.TransportError as error:
                failures += 1
                if not may_repeat(method, headers):
                    raise away(self.place, error) from error
                self.rest(failures, None, away(self.place, error))
                continue
            if answer.status_code < 400:
                return answer
            failures += 1
            if not (may_repeat(method, headers) and may_mend(answer)):
                raise error_of_answer(answer)
            self.rest(failures, told_pause_s(answer), error_of_answer(answer))

    def rest(self, failures: int, told_s: float | None, error: Exception) -> None:
        """Wait before the next try; raises `error` where there have been enough."""
        if failures >= self.patience.tries or (told_s or 0.0) > self.patience.most_told_s:
            raise error
        self.sleep(self.patience.pause_s(failures, told_s, random.random()))

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def away(place: Place, error: httpx.TransportError) -> ServiceAwayError:
    """The error that tells of a connection that failed."""
    reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return ServiceAwayError(f"{place.url} does not answer ({reason}).", "Is it running? `histoserve up` starts one.")
