"""The test itself: each analysis on the phantom, its numbers beside the truth, each within its limit or not."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.errors import HistoserveError
from service.acceptance.deployments import OTHER_STAIN, STAIN_OF, Deployment, Installed
from service.acceptance.limits import RULES, Limit, limit_of
from service.acceptance.phantom import Number, Phantom, judge

Verdict = Literal["pass", "fail", "not judged"]


@dataclass(frozen=True)
class Check:
    """A number, its limit, and how it stands."""

    number: Number
    limit: Limit | None
    """None where the card of the package has no number to hold it against."""

    @property
    def verdict(self) -> Verdict:
        """Within the limit or not."""
        if self.limit is None:
            return "not judged"
        return "pass" if self.limit.holds(self.number.value) else "fail"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        limit = None if self.limit is None else self.limit.as_dict()
        return {**vars(self.number), "limit": limit, "verdict": self.verdict}


@dataclass(frozen=True)
class Outcome:
    """What became of an analysis."""

    analysis: str
    package: str
    seconds: float
    checks: tuple[Check, ...] = ()
    error: HistoserveError | None = None

    @property
    def passed(self) -> bool:
        """True where there is a result, something of it was judged, and nothing failed."""
        verdicts = [check.verdict for check in self.checks]
        return self.error is None and "pass" in verdicts and "fail" not in verdicts

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "analysis": self.analysis,
            "package": self.package,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "checks": [check.as_dict() for check in self.checks],
            "problem": None if self.error is None else self.error.as_problem(),
        }


def run_analyses(
    deployment: Deployment,
    chosen: Mapping[str, Installed],
    phantom: Phantom,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """What becomes of each analysis, as it does; one that fails does not end the rest. Results go below `folder`."""
    for analysis, package in chosen.items():
        say(f"{analysis}: {package.reference}")
        began, out = time.monotonic(), folder / analysis
        try:
            deployment.analyse(phantom.slides[STAIN_OF.get(analysis, OTHER_STAIN)], package.reference, out)
            seconds = time.monotonic() - began
            checks = tuple(_check(analysis, package, number) for number in judge(phantom, out, analysis))
        except HistoserveError as error:
            yield Outcome(analysis, package.reference, time.monotonic() - began, error=error)
        else:
            yield Outcome(analysis, package.reference, seconds, checks)


def _check(analysis: str, package: Installed, number: Number) -> Check:
    rule = RULES[analysis].get(number.name)
    return Check(number, None if rule is None else limit_of(rule, package.metrics, number.n))
