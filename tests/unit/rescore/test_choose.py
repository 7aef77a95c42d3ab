"""Which parameters new scores are made with, and which results can have any."""

import pytest

from models.errors import ParametersInvalidError
from models.registry import resolve
from workers.contract.errors import NotRescorableError
from workers.contract.rescoring import check_files, check_package, choose_parameters
from workers.result import ANALYSED_NAME

MITOSIS = resolve("mitosis").manifest
OWN = MITOSIS.measures[0].hotspots


@pytest.mark.parametrize(
    ("before", "settings", "expected"),
    [
        ({}, {}, {}),
        ({}, {"hotspots": OWN + 1}, {"hotspots": OWN + 1}),
        ({"hotspots": OWN + 1}, {"min_distance_um": 3.5}, {"hotspots": OWN + 1, "min_distance_um": 3.5}),
        ({"hotspots": OWN + 1}, {"hotspots": OWN + 2}, {"hotspots": OWN + 2}),
        ({"hotspots": OWN + 1, "force": False}, {"hotspots": OWN}, {}),
        ({"force": True}, {"hotspots": OWN + 1}, {"force": True, "hotspots": OWN + 1}),
        ({"cascade": True}, {}, {"cascade": True}),
    ],
)
def test_what_is_set_lies_over_what_was(before, settings, expected) -> None:
    assert choose_parameters(MITOSIS, before, settings) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"force": True}, "force says how maps are computed"),
        ({"cascade": False}, "cascade says how"),
        ({"cascade_threshold": 0.5, "hotspots": 2}, "cascade_threshold says how"),
        ({"hotspots": 0}, "at least 1"),
        ({"radius": 3}, "no parameter 'radius'"),
    ],
)
def test_what_no_measure_takes_is_refused(settings, said) -> None:
    with pytest.raises(ParametersInvalidError, match=said):
        choose_parameters(MITOSIS, {}, settings)


def test_what_does_not_hold_what_it_takes_is_refused() -> None:
    check_files(["cells.csv", ANALYSED_NAME])
    check_package("a@1.0.0", "f" * 64, "f" * 64)
    with pytest.raises(NotRescorableError, match="older version"):
        check_files(["cells.csv"])
    with pytest.raises(NotRescorableError, match=r"a@1\.0\.0 here is not"):
        check_package("a@1.0.0", "f" * 64, "e" * 64)
