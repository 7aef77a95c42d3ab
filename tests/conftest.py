"""Fixtures that every kind of test may use."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real slides; skips, saying so, where it is absent."""
    folder = Path(os.environ.get("HISTOSERVE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}: set HISTOSERVE_TEST_DATA")
    return folder
