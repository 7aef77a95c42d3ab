"""Fixtures that every kind of test may use."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from models.registry import Package

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """What holds for every test: no example fails for the time it took, and threads that wait do not spin."""
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    # Before torch is imported: on cores shared with others, its waiting threads burn most of the tests' CPU time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real slides; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("HISTOSERVE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set HISTOSERVE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def made_package(tmp_path_factory) -> Callable[[str], Package]:
    """A function from a name in `tests.packages_made.PACKAGES` to that toy package, exported once per session."""
    from tests.packages_made import PACKAGES

    folder = tmp_path_factory.mktemp("packages")
    return cache(lambda name: PACKAGES[name](folder))
