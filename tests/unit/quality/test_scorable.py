"""What speaks against a number: each reason at its limit, all of them at once, and what force can and cannot do."""

import json

import numpy as np
import pytest

from models.errors import LittleTissueError, NotScorableError, OutOfFocusError, WrongStainError
from models.manifest import Manifest
from tests.toy_predictor import toy_manifest
from workers.geometry import Box
from workers.quality import FocusReport, FocusSquare, QualityReport, StainGuess, TissueMask
from workers.quality.scorable import check_scorable, find_reasons, least_mm2, tissue_in

AREAS = {"kind": "areas", "output": "out"}
CELLS = {"kind": "cells", "output": "out", "interior": "dark"}
PLENTY_MM2 = 1.0


def package(**changes) -> Manifest:
    document = toy_manifest(kind="classes").model_dump(mode="json")
    return Manifest.model_validate(document | {"stain": "he", "measures": [AREAS]} | changes)


def quality(stain: str = "he", confidence: float = 0.95, sharpness: tuple[float, ...] = (0.6,)) -> QualityReport:
    mask = np.ones((4, 4), dtype=bool)
    squares = tuple(FocusSquare(Box(0, 0, 256, 256), value) for value in sharpness)
    guess = StainGuess(stain, confidence, 0.0, 0.0, 0.0, 0.0)
    return QualityReport(TissueMask(mask, ~mask, 8.0, 0.5), guess, FocusReport(squares, 0.5), ())


def slugs(report: QualityReport, manifest: Manifest, tissue_mm2: float = PLENTY_MM2) -> list[str]:
    return [reason.slug for reason in find_reasons(report, manifest, tissue_mm2)]


@pytest.mark.parametrize(
    ("stain", "confidence", "wanted", "found"),
    [
        ("he", 0.95, "he", []),
        ("ihc-dab", 0.95, "he", ["wrong-stain"]),
        ("ihc-dab", 0.80, "he", ["wrong-stain"]),
        ("ihc-dab", 0.79, "he", []),
        ("ihc-dab", 0.95, "any", []),
        ("he", 0.95, "ihc-dab", ["wrong-stain"]),
    ],
)
def test_a_sure_guess_of_another_stain_is_a_reason(stain, confidence, wanted, found):
    assert slugs(quality(stain, confidence), package(stain=wanted)) == found


@pytest.mark.parametrize(
    ("sharpness", "found"),
    [
        ((), []),  # nobody knows
        ((0.31, 0.32, 0.33), []),  # soft, but no more than real slides are
        ((0.29, 0.5), []),  # half is not most
        ((0.29, 0.28, 0.5), ["out-of-focus"]),
        ((0.1,), ["out-of-focus"]),
    ],
)
def test_most_squares_blurred_is_a_reason(sharpness, found):
    assert slugs(quality(sharpness=sharpness), package()) == found


@pytest.mark.parametrize(
    ("changes", "tissue_mm2", "found"),
    [
        ({}, 0.01, []),
        ({}, 0.0099, ["little-tissue"]),
        ({"measures": [CELLS]}, 0.002, []),
        ({"measures": [CELLS]}, 0.0019, ["little-tissue"]),
        ({"measures": [CELLS, AREAS]}, 0.005, ["little-tissue"]),  # the most demanding measure counts
        ({"measures": []}, 0.0, []),
        ({"min_tissue_mm2": 2.0}, 1.9, ["little-tissue"]),
        ({"min_tissue_mm2": 0.0}, 0.001, []),
    ],
)
def test_less_tissue_than_a_number_needs_is_a_reason(changes, tissue_mm2, found):
    assert slugs(quality(), package(**changes), tissue_mm2) == found


def test_a_package_s_own_least_stands_above_its_measures():
    assert (least_mm2(package()), least_mm2(package(min_tissue_mm2=0.5))) == (0.01, 0.5)


def test_all_reasons_are_told_at_once_with_their_numbers():
    with pytest.raises(NotScorableError) as caught:
        check_scorable(find_reasons(quality("ihc-dab", sharpness=(0.1, 0.2)), package(), 0.001), force=False)
    assert type(caught.value) is NotScorableError, "no one of them is the reason"
    problem = caught.value.as_problem()
    assert problem["type"] == "urn:histoserve:not-scorable"
    assert json.loads(json.dumps(problem, allow_nan=False)) == problem
    told = [(r["slug"], r["value"], r["limit"], r["forcible"]) for r in problem["reasons"]]
    assert told == [
        ("wrong-stain", "ihc-dab", "he", True),
        ("out-of-focus", 1.0, 0.5, True),
        ("little-tissue", 0.001, 0.01, True),
    ]
    assert all(reason["text"] in problem["detail"] for reason in problem["reasons"])


@pytest.mark.parametrize(
    ("report", "tissue_mm2", "kind"),
    [
        (quality("ihc-dab"), PLENTY_MM2, WrongStainError),
        (quality(sharpness=(0.1,)), PLENTY_MM2, OutOfFocusError),
        (quality(), 0.001, LittleTissueError),
    ],
)
def test_a_single_reason_has_an_error_of_its_own(report, tissue_mm2, kind):
    reasons = find_reasons(report, package(), tissue_mm2)
    with pytest.raises(kind):
        check_scorable(reasons, force=False)
    check_scorable(reasons, force=True)


def test_a_good_slide_passes_forced_or_not():
    for force in (False, True):
        check_scorable(find_reasons(quality(), package(), PLENTY_MM2), force=force)


def test_tissue_counts_where_it_lies_in_chosen_cells():
    """A mask of 8 um px under cells of 16 um: two px each way, the last column narrower."""
    mask = np.zeros((4, 5), dtype=bool)
    mask[:2, :3] = True
    mask[3, 4] = True
    tissue = TissueMask(mask, np.zeros_like(mask), 8.0, 0.5)
    px_mm2 = 0.008**2
    cells = np.zeros((2, 3), dtype=bool)
    assert tissue_in(tissue, cells, 16.0) == 0
    cells[0, 0] = True
    assert tissue_in(tissue, cells, 16.0) == pytest.approx(4 * px_mm2)
    cells[1, 2] = True
    assert tissue_in(tissue, cells, 16.0) == pytest.approx(5 * px_mm2)
    assert tissue_in(tissue, ~np.zeros((2, 3), bool), 16.0) == pytest.approx(tissue.tissue_mm2)
