"""New scores of an IHC mask: from the table alone, or from the mask where other pixels belong to cells."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from benchmarks.drawn import INTERIOR, Field, class_stamps
from benchmarks.million import _package, draw_field, score_field
from models.registry import read_package
from workers.engine.progress import say_nothing
from workers.rescore.again import RescoreRequest, rescore
from workers.result import Result

FIELD = Field(100, 88)
"""2400 x 2112 px: four shards, and nuclei on their borders."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _package(tmp_path_factory.mktemp("virtual"), "deepliif-small")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Path:
    """A result of a drawn mask."""
    folder = tmp_path_factory.mktemp("made")
    draw_field(folder, read_package(package), FIELD)
    score_field(folder, read_package(package), FIELD)
    return folder


def fresh(made: Path, package: Path, folder: Path, **numbers: Any) -> dict[str, Any]:
    """The result of the same mask by a package with other numbers."""
    other = Path(shutil.copytree(package, folder / "deepliif-small" / "1.0.0"))
    manifest = json.loads((other / "model.json").read_text())
    manifest["measures"] = [manifest["measures"][0] | numbers]
    (other / "model.json").write_text(json.dumps(manifest))
    shutil.copytree(made / "maps", folder / "out" / "maps")
    score_field(folder / "out", read_package(other), FIELD)
    return dict(json.loads((folder / "out" / "result.json").read_text()))


def again(made: Path, package: Path, out: Path | None = None, **parameters: Any) -> Result:
    return rescore(RescoreRequest(made, parameters, out, str(package)), say_nothing)


def test_what_was_drawn_is_found(made) -> None:
    (scores,) = json.loads((made / "result.json").read_text())["scores"].values()
    told = scores["ihc_components"]
    assert told["counted"] + told["rejected"] == FIELD.nuclei
    sizes = [int((stamp == INTERIOR).sum()) for stamp in class_stamps()]
    assert all(ndimage.label(stamp == INTERIOR)[1] == 1 for stamp in class_stamps())
    assert min(sizes) > 40
    assert np.isclose(scores["cells"]["percent_pos"], 100 * 26 / 64, atol=2)


def test_sizes_are_judged_from_the_table_without_a_map(made, package, tmp_path) -> None:
    numbers = {"size_px": 110, "size_upper_px": 180, "field_cells": 100}
    expected = fresh(made, package, tmp_path / "fresh", **numbers)
    bare = Path(shutil.copytree(made, tmp_path / "bare"))
    shutil.rmtree(bare / "maps")
    scored = again(bare, package, tmp_path / "out", **numbers)
    assert scored.model_dump(mode="json")["scores"] == expected["scores"]
    assert {p.path: p.sha256 for p in scored.files}.items() <= {
        p["path"]: p["sha256"] for p in expected["files"]
    }.items()
    assert len(scored.files) == 4
    assert again(bare, package, **numbers).scores == scored.scores


def test_another_mask_threshold_finds_the_cells_anew(made, package, tmp_path) -> None:
    """Everything is 255 or 0 in the drawn mask, so that only a limit no pixel reaches makes a difference."""
    with pytest.raises(Exception, match="Only 0 cells count"):
        again(made, package, seg_threshold=255)
    assert again(made, package, seg_threshold=254).scores["ihc-cells"]["cells"]["num_total"] > 1000
