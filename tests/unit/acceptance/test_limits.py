"""Limits from a card: worked by hand, strict where a card has several numbers, none where it has none."""

import json
import math
import sys

import pytest

from models.errors import HistoserveError, RefusedInputError
from models.manifest import Metric
from service.acceptance import phantom
from service.acceptance.deployments import Installed, choose_packages
from service.acceptance.limits import RULES, Limit, Rule, limit_of
from service.acceptance.phantom import Number
from service.acceptance.testing import Check, Outcome

HIGH, LOW = Rule("F1", "at least"), Rule("error", "at most")


def metric(
    name: str = "F1", value: float = 0.8, half: float | None = 0.03, n: int = 8, synthetic: bool = True
) -> Metric:
    ends = {} if half is None else {"low": value - half, "high": value + half}
    return Metric(name=name, value=value, n=n, data="phantoms", synthetic=synthetic, **ends)


def test_an_error_may_be_as_large_as_one_more_phantom_s():
    # half an interval of 0.03 over 8 phantoms: one more lies within 0.03 * sqrt(9)
    assert limit_of(LOW, [metric("error", 0.1)], 1000).value == pytest.approx(0.1 + 0.09)


def test_a_part_spreads_by_its_number_besides():
    # sqrt(0.8 * 0.2 / 64) = 0.05; 1.96 of it beside 0.09
    assert limit_of(HIGH, [metric()], 64).value == pytest.approx(0.8 - math.hypot(0.09, 0.098))
    assert limit_of(HIGH, [metric()], 10**9).value == pytest.approx(0.8 - 0.09, abs=1e-4)
    assert limit_of(HIGH, [metric(half=None)], 64).value == pytest.approx(0.8 - 0.098)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_limit_that_excludes_nothing_is_none(n):
    assert limit_of(HIGH, [metric(value=0.5)], n) is None


def test_numbers_of_patients_and_of_phantoms_are_not_mixed():
    real, drawn = metric(value=0.3, synthetic=False), metric(value=0.8)
    assert limit_of(HIGH, [real, drawn], 100).metric is drawn
    assert limit_of(Rule("F1", "at least", synthetic=False), [real, drawn], 100).metric is real
    assert limit_of(HIGH, [real], 100) is None
    assert limit_of(HIGH, [drawn.model_copy(update={"data": "real nuclei turned IHC"})], 100) is None
    assert limit_of(HIGH, [], 100) is None


def test_of_several_the_strictest_counts():
    wide, narrow = metric(half=0.2), metric(value=0.7, half=0.01)
    assert limit_of(HIGH, [wide, narrow], 1000).metric is narrow
    worse, better = metric("error", 0.3), metric("error", 0.2)
    assert limit_of(LOW, [worse, better], 1000).metric is better


@pytest.mark.parametrize(
    ("sense", "value", "verdict"),
    [("at least", 0.5, "pass"), ("at least", 0.499, "fail"), ("at most", 0.5, "pass"), ("at most", 0.501, "fail")],
)
def test_a_limit_itself_is_within(sense, value, verdict):
    check = Check(Number("F1", value, 10, None, None), Limit(sense, 0.5, metric()))
    assert check.verdict == verdict
    assert json.loads(json.dumps(check.as_dict()))["limit"]["metric"]["data"] == "phantoms"


def checks(*values: float | None) -> tuple[Check, ...]:
    limit = Limit("at least", 0.5, metric())
    return tuple(Check(Number("F1", v or 0.0, 10, None, None), None if v is None else limit) for v in values)


@pytest.mark.parametrize(
    ("found", "passed"), [((0.9,), True), ((0.9, 0.1), False), ((0.9, None), True), ((None,), False), ((), False)]
)
def test_what_was_not_judged_is_no_pass(found, passed):
    assert Outcome("nuclei", "nuclei@1.0.0", 1.0, checks(*found)).passed is passed


def test_a_problem_is_no_pass():
    tested = Outcome("nuclei", "nuclei@1.0.0", 1.0, checks(0.9), HistoserveError("Away."))
    assert not tested.passed
    assert tested.as_dict()["problem"]["detail"] == "Away."


def installed(name: str, version: str = "1.0.0", analysis: str | None = None) -> Installed:
    return Installed(f"{name}@{version}", name, version, analysis, ())


def test_the_newest_package_of_each_analysis_is_tested():
    there = (
        installed("nuclei", "1.9.0"),
        installed("nuclei", "1.10.0"),
        installed("own", analysis="mitosis"),
        installed("virtual-ki67", analysis="virtual-ki67"),
        installed("other"),
    )
    chosen = choose_packages(there, ())
    assert {name: package.reference for name, package in chosen.items()} == {
        "nuclei": "nuclei@1.10.0",
        "mitosis": "own@1.0.0",
        "virtual-ihc": "virtual-ki67@1.0.0",
    }
    assert list(choose_packages(there, ("nuclei",))) == ["nuclei"]


@pytest.mark.parametrize("wanted", [("palmistry",), ("deepliif",), ()])
def test_what_is_not_there_is_refused(wanted):
    with pytest.raises(RefusedInputError):
        choose_packages((installed("other"),), wanted)


def test_every_analysis_that_can_be_tested_has_rules():
    from service.acceptance.deployments import ALIASES

    assert set(RULES) == set(ALIASES)


def test_where_phantoms_are_not_installed_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(phantom, "own_python", lambda: [sys.executable, "-I", "-S"])
    with pytest.raises(phantom.PhantomMissingError, match=r"pip install 'histoserve\[train\]'"):
        phantom.make_phantom(tmp_path, 1024, 1)
