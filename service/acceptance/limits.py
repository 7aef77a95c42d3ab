"""What a deployment must reach on a phantom, taken from the card of each package.

A card states what a package reached on `n` phantoms it never saw, with an interval that holds 95 % of what drawing
those phantoms again gives. One more phantom spreads wider than their mean: half the interval times sqrt(n + 1). A part
of N things, as an F1 is, spreads by their number besides: 1.96 sqrt(p (1 - p) / N). Both are added as variances are.
The limit is the card's value less that spread for what should be high, plus it for what should be low.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from models.manifest import Metric

Z = 1.96
"""Standard deviations to each side that hold 95 % of a normal distribution."""
PHANTOM = "phantom"
"""Stands in what a card says of data that are phantoms."""
Sense = Literal["at least", "at most"]


@dataclass(frozen=True)
class Rule:
    """Which number of a card limits a number that was measured."""

    metric: str
    """Its name in the manifest."""
    sense: Sense
    synthetic: bool = True
    """Measured on phantoms; where a card has none, on slides of patients, whose nuclei are harder to find."""


RULES: dict[str, dict[str, Rule]] = {
    "ki67-he": {"R_pos": Rule("mean absolute error of R_pos against the true areas", "at most")},
    "virtual-ihc": {"index": Rule("error of the index, virtual stain", "at most")},
    "deepliif": {
        "percent positive": Rule("score_gap, all (pooled)", "at most"),
        "F1": Rule("detection_f1, all (pooled)", "at least"),
    },
    "mitosis": {
        "F1": Rule("F1 of mitoses", "at least"),
        "precision": Rule("precision", "at least"),
        "recall": Rule("recall", "at least"),
        # A card says nothing of hotspots. One that was chosen by what is found of F1 holds that part of the best.
        "hotspot": Rule("F1 of mitoses", "at least"),
    },
    "nuclei": {"F1": Rule("detection F1 at IoU > 0.5", "at least", synthetic=False)},
}
"""By analysis and by the name that `histoserve phantom judge` gives a number."""


@dataclass(frozen=True)
class Limit:
    """A limit, and the number of the card that it comes from."""

    sense: Sense
    value: float
    metric: Metric

    def holds(self, value: float) -> bool:
        """True where a measured number is within the limit."""
        return value >= self.value if self.sense == "at least" else value <= self.value

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"metric": self.metric.model_dump(mode="json")}


def limit_of(rule: Rule, metrics: Sequence[Metric], n: int) -> Limit | None:
    """The limit for a number of `n` things; None where the card has no such number, or the limit excludes nothing.

    Of several numbers of one name the strictest limit counts: a phantom is drawn as clean as the cleanest data.
    """
    fitting = [m for m in metrics if m.name == rule.metric and m.synthetic == rule.synthetic]
    # Pictures that were made of real nuclei are synthetic too, and no phantoms.
    fitting = [m for m in fitting if PHANTOM in m.data or not rule.synthetic]
    limits = [Limit(rule.sense, _bound(rule.sense, metric, n), metric) for metric in fitting]
    if rule.sense == "at most":
        return min(limits, key=lambda limit: limit.value, default=None)
    best = max(limits, key=lambda limit: limit.value, default=None)
    return best if best is not None and best.value > 0 else None


def _bound(sense: Sense, metric: Metric, n: int) -> float:
    spread = _spread_of_one_more(metric)
    if sense == "at most":
        return metric.value + spread
    counting = Z * math.sqrt(max(0.0, metric.value * (1 - metric.value)) / n) if n else 1.0
    return metric.value - math.hypot(spread, counting)


def _spread_of_one_more(metric: Metric) -> float:
    """How far one more phantom may lie from the card's value; 0 where the card states no interval."""
    if metric.low is None or metric.high is None:
        return 0.0
    return (metric.high - metric.low) / 2 * math.sqrt((metric.n or 0) + 1)
