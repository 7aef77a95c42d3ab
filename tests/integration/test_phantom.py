"""Phantoms written by the real processes and read by the readers that others use."""

import json
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pyarrow import parquet

from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec, Section
from training.phantom.truth import truth_region
from training.phantom.write import write_phantom
from workers.geometry import Box

SPEC = PhantomSpec(
    seed=5, width_px=2600, height_px=2100, tissue=0.5, tumour=0.95, ki67=0.4, mitoses=0.02, fat=0.0, quality=90
)
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    spec = PhantomSpec(**{**vars(SPEC), "sections": (Section("ki67", 30.0, -20.0, 1.0, 5.0),)})
    slides = {"he": folder / "he.tiff", "ki67": folder / "ki67.tiff", "mask": folder / "mask.tiff"}
    summary = write_phantom(spec, slides, folder / "truth.parquet", processes=2)
    return spec, folder, summary


def run(*arguments, code=0):
    """`python -m training.phantom` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "training.phantom", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("reader", ["openslide", "tiffslide"])
def test_every_level_opens_with_its_mpp(written, reader):
    _, folder, _ = written
    module = pytest.importorskip(reader)
    slide = (module.OpenSlide if reader == "openslide" else module.TiffSlide)(folder / "he.tiff")
    assert slide.level_dimensions == ((2600, 2100), (650, 525), (162, 131))
    assert float(slide.properties[f"{reader}.mpp-x"]) == pytest.approx(0.25)
    assert float(slide.properties[f"{reader}.mpp-y"]) == pytest.approx(0.25)
    assert float(slide.properties[f"{reader}.objective-power"]) == 40
    pictures = [
        np.asarray(slide.read_region((0, 0), n, size).convert("RGB")) for n, size in enumerate(slide.level_dimensions)
    ]
    means = [picture.mean(axis=(0, 1)) for picture in pictures]
    assert all(mean == pytest.approx(means[0], abs=2.5) for mean in means[1:])
    assert pictures[1].std() > 10
    slide.close()


def test_the_readers_agree_and_show_what_is_rendered(written):
    openslide = pytest.importorskip("openslide")
    spec, folder, _ = written
    box = Box(1000, 700, 600, 500)
    for stain, limit in (("he", 3.5), ("ki67", 3.5), ("mask", 0.0)):
        with openslide.OpenSlide(folder / f"{stain}.tiff") as slide:
            read = np.asarray(slide.read_region((box.x, box.y), 0, (box.width, box.height)).convert("RGB"))
        rendered = render_region(spec, stain, box)
        assert abs(read.astype(int) - rendered).mean() <= limit, stain


def test_the_truth_is_every_nucleus_once(written):
    spec, folder, summary = written
    table = parquet.read_table(folder / "truth.parquet")
    whole = truth_region(spec, Box(0, 0, spec.width_px, spec.height_px))
    assert table.num_rows == summary["truth"]["nuclei"] > 500
    assert (
        table.select(whole.column_names)
        .sort_by("id")
        .equals(whole.sort_by("id").cast(table.select(whole.column_names).schema))
    )
    assert {"x_px_ki67", "y_px_ki67"} <= set(table.column_names)
    assert parquet.ParquetFile(folder / "truth.parquet").num_row_groups > 1


def test_the_truth_of_the_moved_section_is_where_its_nuclei_are_brown(written):
    spec, folder, _ = written
    table = parquet.read_table(folder / "truth.parquet").to_pydict()
    picture = render_region(spec, "ki67", Box(0, 0, spec.width_px, spec.height_px)).astype(int)
    strong = (np.array(table["ki67_dab"]) > 0.7) & (np.array(table["phase"]) == "none")
    x, y = (np.array(table[c])[strong].astype(int) for c in ("x_px_ki67", "y_px_ki67"))
    inside = (x >= 0) & (y >= 0) & (x < spec.width_px) & (y < spec.height_px)
    pixels = picture[y[inside], x[inside]]
    assert inside.sum() > 50
    assert (pixels[:, 0] > pixels[:, 2]).mean() > 0.9


def test_processes_do_not_change_a_byte(written, tmp_path):
    spec, folder, summary = written
    again = write_phantom(spec, {"he": tmp_path / "he.tiff"}, tmp_path / "truth.parquet", processes=1)
    assert (tmp_path / "he.tiff").read_bytes() == (folder / "he.tiff").read_bytes()
    assert again["spec_sha256"] == summary["spec_sha256"]


def test_a_failed_run_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(SPEC, {"he": tmp_path / "he.tiff"}, tmp_path / "truth.parquet", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_slide_is_a_slide_with_an_empty_truth(tmp_path):
    spec = PhantomSpec(width_px=3000, height_px=1000, tissue=0.0)
    summary = write_phantom(spec, {"he": tmp_path / "he.tiff"}, tmp_path / "truth.parquet")
    assert summary["truth"]["nuclei"] == 0 and summary["truth"]["ki67_index"] is None
    assert parquet.read_table(tmp_path / "truth.parquet").num_rows == 0


def test_the_command_writes_slides_truth_and_says_so_in_json(tmp_path):
    done = run(
        "make", tmp_path / "case.tiff", "--stain", "he", "--stain", "mask", "--width", 1300, "--height", 900,
        "--seed", 3, "--truth", tmp_path / "t.parquet", "--set", "ki67=0.5", "--json",
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert [file["name"] for file in said["files"]] == ["case-he.tiff", "case-mask.tiff", "t.parquet"]
    assert said["spec"]["ki67"] == 0.5
    assert json.loads((tmp_path / "case.json").read_text()) == said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case-he.tiff", "case-mask.tiff", "case.json", "t.parquet"]


def test_the_command_makes_a_picture(tmp_path):
    run("picture", tmp_path / "look.png", "--stain", "phh3", "--seed", 3, "--at", "3000,3000", "--size", "200,100")
    picture = imagecodecs.png_decode((tmp_path / "look.png").read_bytes())
    spec = PhantomSpec(seed=3, width_px=8192, height_px=8192)
    assert np.array_equal(picture, render_region(spec, "phh3", Box(3000, 3000, 200, 100)))


@pytest.mark.parametrize(
    "wrong",
    [("--stain", "pas"), ("--tissue", "3"), ("--set", "nothing=1"), ("--set", "ki67=many"), ("--shift", "4")],
)
def test_what_cannot_be_made_is_refused_with_two(tmp_path, wrong):
    done = run("make", tmp_path / "x.tiff", *wrong, code=2)
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


MEASURE = """
import resource, sys
from pathlib import Path
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
side = int(sys.argv[1])
spec = PhantomSpec(seed=1, width_px=side, height_px=side, tissue=min(1.0, 1000**2 * 4 / side**2))
write_phantom(spec, {"he": Path(sys.argv[2])}, Path(sys.argv[2] + ".parquet"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory_does_not_grow_with_the_slide(tmp_path):
    peaks = []
    for side in (3000, 40000):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(side), str(tmp_path / f"{side}.tiff")],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            check=True,
            timeout=300,
        )
        peaks.append(float(done.stdout))
    assert peaks[1] < peaks[0] + 40, peaks
    assert (tmp_path / "40000.tiff").stat().st_size < 20e6
