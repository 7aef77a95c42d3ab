"""Fixtures that every kind of test may use."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from models.registry import Package

REPOSITORY = Path(__file__).resolve().parent.parent


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
