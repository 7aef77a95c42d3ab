"""Areas through whole runs: fractions, intervals, fields and regions; and held against the neighbouring section."""

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from models.errors import ParametersInvalidError, RefusedInputError, WrongStainError
from tests.networks_made import Thresholds
from tests.packages_made import thresholds_package
from training.phantom.spec import PhantomSpec, Section
from training.phantom.write import write_phantom
from workers.contract.regions import read_regions
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.geometry import Box
from workers.outputs.maps import MapSpec, chunk_side, read_box
from workers.paired.compare import PairedRequest, compare_sections
from workers.regions import in_region, region_shapes
from workers.registration.errors import RegistrationFailedError
from workers.result import Result
from workers.review.verify import verify_result
from workers.slides import open_slide

SIDE_PX, MPP = 1400, 0.5
SPLIT = [(0, 0), (820, 0), (700.5, SIDE_PX), (0, SIDE_PX)]
REST = [(820, 0), (SIDE_PX, 0), (SIDE_PX, SIDE_PX), (700.5, SIDE_PX)]
SET = {"block_um": 60, "field_mm2": 0.05, "fields": 2}


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Path:
    """H&E and Ki-67 of one tissue without a positive nucleus; the second section turned by 90 degrees and shifted."""
    folder = tmp_path_factory.mktemp("case")
    moved = Section("ki67", 20.0, -15.0, 90.0, 3.0)
    spec = PhantomSpec(
        seed=12, width_px=SIDE_PX, height_px=SIDE_PX, mpp=MPP, tissue=0.8, ki67=0.0, mitoses=0.0, sections=(moved,)
    )
    write_phantom(spec, {"he": folder / "he.tiff", "ki67": folder / "ki67.tiff"})
    return folder


class Dark(Thresholds):
    """The classes of a slide that is darker: nuclei are class-0, all else is class-1."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image * 0.62)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> str:
    """Dark px are negative, pale ones positive: arithmetic without a receptive field."""
    folder = thresholds_package(tmp_path_factory.mktemp("fractions"), build=Dark).folder
    manifest = json.loads((folder / "model.json").read_text())
    manifest["measures"] = [{"kind": "areas", "output": "out", "positive": "class-1", "negative": "class-0"}]
    (folder / "model.json").write_text(json.dumps(manifest))
    return str(folder)


def run(case: Path, package: str, out: Path, **asked) -> Result:
    return run_slide(RunRequest(case / "he.tiff", package, out, **asked), say_nothing, threading.Event())


def regions(**named: list[tuple[float, float]]):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
            "properties": {"name": name},
        }
        for name, corners in named.items()
    ]
    return read_regions({"type": "FeatureCollection", "features": features})


@pytest.fixture(scope="module")
def halves(case, package, tmp_path_factory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("run") / "halves"
    return out, run(case, package, out, regions=regions(left=SPLIT, right=REST), parameters=SET)


@pytest.fixture(scope="module")
def whole(case, package, tmp_path_factory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("run") / "whole"
    return out, run(case, package, out, tile_px=256, parameters=SET)


def values_of(out: Path) -> np.ndarray:
    spec = MapSpec("out", "classes", 1, 1, SIDE_PX, SIDE_PX, 2048, chunk_side(2048), 255, ())
    return read_box(out / "maps", spec, Box(0, 0, SIDE_PX, SIDE_PX))


def test_regions_are_the_pixels_in_their_polygons(case, halves):
    out, result = halves
    values = values_of(out)
    ys, xs = np.mgrid[:SIDE_PX, :SIDE_PX] + 0.5
    slide = open_slide(case / "he.tiff")
    shapes = region_shapes(regions(left=SPLIT, right=REST), slide.info)
    slide.close()
    for shape, part in zip(shapes, result.regions, strict=True):
        inside = in_region(shape, xs.ravel(), ys.ravel()).reshape(values.shape)
        counts = np.bincount(values[inside], minlength=3)[:3]
        told = part.areas["areas"]
        assert list(told.class_mm2.values()) == pytest.approx((counts * (MPP / 1000) ** 2).tolist())
        assert told.r_pos == pytest.approx(counts[1] / (counts[0] + counts[1]))
        assert told.d_neg == pytest.approx(counts[0] / counts.sum())
        assert told.intervals.d_neg.low < told.d_neg < told.intervals.d_neg.high


def test_halves_add_up_and_tiles_change_nothing(halves, whole):
    assert halves[1].scores == whole[1].scores
    for name, area in ((name, whole[1].scores["areas"][f"{name}_mm2"]) for name in ("class-0", "class-1", "class-2")):
        assert sum(part.areas["areas"].class_mm2[name] for part in halves[1].regions) == pytest.approx(area)


def test_the_result_holds_the_heat_map_and_the_fields_and_is_verified(whole):
    out, result = whole
    assert {"heat-areas.png", "fields-areas.geojson", "overview.png"} <= {part.path for part in result.files}
    assert verify_result(out).passed
    fields = result.scores["areas"]["fields"]
    assert len(fields) == 2
    assert fields[0]["positive_mm2"] >= fields[1]["positive_mm2"] > 0
    values = values_of(out)
    for field in fields:
        left, top, side = (field[name] for name in ("x_px", "y_px", "side_px"))
        assert side == pytest.approx(1000 * 0.05**0.5 / MPP)
        rows, columns = ((np.arange(SIDE_PX) + 0.5 - start) // side == 0 for start in (top, left))
        held = values[np.ix_(rows, columns)]
        assert field["positive_mm2"] == pytest.approx((held == 1).sum() * (MPP / 1000) ** 2)
        assert field["d_pos"] == pytest.approx((held == 1).sum() / (held < 3).sum())
    squares = [(field["x_px"], field["y_px"]) for field in fields]
    gaps = [abs(one - other) for one, other in zip(*squares, strict=True)]
    assert max(gaps) >= fields[0]["side_px"] * (1 - 1e-9)


def test_parameters_of_areas_are_in_effect_and_bounded(case, package, whole, tmp_path):
    told = whole[1].configuration["parameters"]
    assert (told["block_um"], told["field_mm2"], told["fields"], told["heat_um"], told["seed"]) == (60, 0.05, 2, 128, 0)
    with pytest.raises(ParametersInvalidError, match="field_mm2"):
        run(case, package, tmp_path / "out", parameters={"field_mm2": 0.01})


def paired(case: Path, package: str, result: Path, out: Path, **changes) -> PairedRequest:
    asked = {"he": case / "he.tiff", "ihc": case / "ki67.tiff", "rois": 40} | changes
    return PairedRequest(result=result, out=out, package=package, **asked)


def test_nuclei_are_where_the_neighbouring_section_has_them(case, package, whole, tmp_path):
    request = paired(case, package, whole[0], tmp_path / "paired")
    found = compare_sections(request, say_nothing)
    assert found.registration["turn_deg"] == pytest.approx(90, abs=2)
    assert len(found.rois) == 40
    # dark px of the H&E against blue ones of a section without any brown
    assert found.correlations["d_neg"].r > 0.8
    assert found.correlations["d_neg"].low < found.correlations["d_neg"].r < found.correlations["d_neg"].high
    # a section without brown does not vary
    assert (found.correlations["d_pos"].r, found.correlations["r_pos"].r) == (None, None)
    names = {path.name for path in request.out.iterdir()}
    assert names == {
        "paired.json",
        "rois.csv",
        "rois.geojson",
        "correlation.png",
        "pairs.png",
        "overlay.png",
        "checkerboard.png",
    }
    with (request.out / "rois.csv").open(newline="") as lines:
        assert [float(row["d_neg_he"]) for row in csv.DictReader(lines)] == [roi.he.d_neg for roi in found.rois]
    regions_of = read_regions(json.loads((request.out / "rois.geojson").read_text()))
    assert len(regions_of.features) == 40


def test_what_cannot_be_compared_is_refused(case, package, whole, tmp_path):
    with pytest.raises(RefusedInputError, match="SHA-256"):
        compare_sections(paired(case, package, whole[0], tmp_path / "a", he=case / "ki67.tiff"), say_nothing)
    with pytest.raises(WrongStainError, match="H&E"):
        compare_sections(paired(case, package, whole[0], tmp_path / "b", ihc=case / "he.tiff"), say_nothing)
    spec = PhantomSpec(seed=99, width_px=SIDE_PX, height_px=SIDE_PX, mpp=MPP, tissue=0.8)
    write_phantom(spec, {"ki67": tmp_path / "other.tiff"})
    with pytest.raises(RegistrationFailedError, match="do not lie on each other"):
        compare_sections(paired(case, package, whole[0], tmp_path / "c", ihc=tmp_path / "other.tiff"), say_nothing)
    assert not (tmp_path / "c" / "paired.json").exists()
    assert (tmp_path / "c" / "overlay.png").exists()
