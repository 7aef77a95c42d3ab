"""A phantom slide small enough for tests, made once."""

from pathlib import Path

import pytest

from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An H&E slide of several bands, 0.5 um/px."""
    path = tmp_path_factory.mktemp("slides") / "phantom.tiff"
    write_phantom(PhantomSpec(seed=5, width_px=4200, height_px=4200, mpp=0.5, tissue=0.5), {"he": path})
    return path
