"""A phantom whose second section was moved and bent: the truth is known for every nucleus."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from training.phantom.spec import PhantomSpec, Section
from training.phantom.write import write_phantom
from workers.geometry import Box
from workers.registration.commands import register as register_command
from workers.registration.errors import RegistrationFailedError
from workers.registration.slides import read_whole, register_slides
from workers.slides import open_slide

MPP, SIDE_PX = 1.0, 1200
REGION = Box(400, 400, 400, 400)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folder with he.tiff, ki67.tiff and truth.parquet: turned by 120 degrees, shifted and warped."""
    folder = tmp_path_factory.mktemp("moved")
    section = Section("ki67", 90, -60, 120, 10)
    spec = PhantomSpec(seed=21, width_px=SIDE_PX, height_px=SIDE_PX, mpp=MPP, tissue=0.5, sections=(section,))
    write_phantom(spec, {"he": folder / "he.tiff", "ki67": folder / "ki67.tiff"}, folder / "truth.parquet")
    return folder


@pytest.fixture(scope="module")
def found(case):
    fixed, moving = open_slide(case / "he.tiff"), open_slide(case / "ki67.tiff")
    yield register_slides(fixed, moving, 4.0)
    fixed.close()
    moving.close()


@pytest.fixture(scope="module")
def nuclei(case):
    """Places of the nuclei on both slides, level-0 px."""
    table = pq.read_table(case / "truth.parquet")
    x, y, u, v = (table[name].to_numpy() for name in ("x_px", "y_px", "x_px_ki67", "y_px_ki67"))
    return np.column_stack([x, y]), np.column_stack([u, v])


def misses_um(mapped, truth):
    return np.hypot(*(mapped - truth).T) * MPP


def test_nuclei_are_found_to_a_pixel_at_low_resolution(found, nuclei):
    here, there = nuclei
    errors = misses_um(found.map_points(here), there)
    assert found.registration.quality.trusted, found.registration.quality.reasons
    assert found.registration.quality.turn_deg == pytest.approx(120, abs=2)
    assert np.median(errors) < 2.5 and np.percentile(errors, 95) < 8
    assert np.median(errors) < np.median(misses_um(found.map_points(here, field=False), there)) / 2
    assert found.inverse_points(found.map_points(here)) == pytest.approx(here, abs=0.01)


def test_a_region_is_refined_below_a_micrometre(found, nuclei):
    here, there = nuclei
    inside = ((here > (REGION.x, REGION.y)) & (here < (REGION.right, REGION.bottom))).all(axis=1)
    finer = found.refine(REGION, 1.0)
    errors = misses_um(finer.map_points(here[inside]), there[inside])
    assert inside.sum() > 100
    assert np.median(errors) < 0.5 and errors.max() < 3
    assert np.median(errors) < np.median(misses_um(found.map_points(here[inside]), there[inside]))
    assert finer.inverse_points(there[inside]) == pytest.approx(here[inside], abs=3 / MPP)


def test_the_same_sections_give_the_same_map(found):
    again = register_slides(found.fixed, found.moving, 4.0)
    assert again.as_dict() == found.as_dict()


def test_a_warped_section_lies_on_the_fixed_one(found):
    fixed, moving = (read_whole(slide, 4.0) for slide in (found.fixed, found.moving))
    warped = found.registration.warp(moving)
    assert warped.shape == fixed.shape and warped.dtype == np.uint8
    red = [np.corrcoef(fixed[..., 0].ravel(), picture[..., 0].ravel())[0, 1] for picture in (moving, warped)]
    assert red[1] > 0.7 > red[0] + 0.2


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(register_command)
    return app


def test_the_command_writes_the_map_its_pictures_and_the_points(case, nuclei, tmp_path, app):
    here, there = nuclei
    rows = "\n".join(f"{x},{y}" for x, y in here[:50])
    (tmp_path / "cells.csv").write_text(f"x_px,y_px\n{rows}\n")
    arguments = [str(case / "he.tiff"), str(case / "ki67.tiff"), "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, [*arguments, "--points", str(tmp_path / "cells.csv"), "--json"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["trusted"] is True
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"registration.json", "overlay.png", "checkerboard.png", "points.csv"}
    mapped = np.loadtxt(tmp_path / "out" / "points.csv", delimiter=",", skiprows=1)[:, 2:]
    assert np.median(misses_um(mapped, there[:50])) < 4
    assert json.loads((tmp_path / "out" / "registration.json").read_text())["fixed_level0_px_per_px"] == 4.0


def test_the_command_refuses_glass(case, tmp_path, app):
    from PIL import Image

    Image.new("RGB", (800, 800), (240, 240, 240)).save(tmp_path / "glass.png")
    slides = [str(case / "he.tiff"), str(tmp_path / "glass.png"), "--moving-mpp", "1"]
    ended = CliRunner().invoke(app, [*slides, "--out", str(tmp_path / "out")])
    assert isinstance(ended.exception, RegistrationFailedError)
