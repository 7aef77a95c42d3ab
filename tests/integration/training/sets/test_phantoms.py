"""Phantoms as labelled images: marks lie on the nuclei that are drawn, in every stain."""

import json

import numpy as np
import pytest

from training.phantom.spec import PhantomSpec, Section
from training.sets.background import background_boxes
from training.sets.cells import cell_patches, class_counts
from training.sets.patch_set import patches_of, read_patch_set, write_patch_set
from training.sets.phantoms import marked_phantom, phantom_images

MOVED = Section("ki67", shift_x_um=20, shift_y_um=5)
SPEC = PhantomSpec(seed=3, width_px=512, height_px=512, tissue=1.0, tumour=1.0, ki67=0.6, sections=(MOVED,))
STAINS = ("he", "ki67")


def by_ki67(table):
    return np.where(table["ki67"].to_numpy(), "positive", "negative")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    assert phantom_images(folder, {"one": SPEC}, STAINS) == ("one",)
    return folder


def test_what_is_there_stays(folder):
    told = (folder / "one" / "spec.json").stat().st_mtime_ns
    seen = []
    assert phantom_images(folder, {"one": SPEC}, STAINS, progress=lambda *done: seen.append(done)) == ()
    assert phantom_images(folder, {"one": SPEC}, ("he",)) == ()
    assert seen == [(1, 1)]
    assert (folder / "one" / "spec.json").stat().st_mtime_ns == told
    assert json.loads((folder / "one" / "spec.json").read_text())["spec_sha256"] == SPEC.digest()


def test_another_spec_or_a_missing_file_is_written_anew(tmp_path):
    small = PhantomSpec(seed=1, width_px=64, height_px=64, tissue=1.0)
    other = PhantomSpec(seed=2, width_px=64, height_px=64, tissue=1.0)
    assert phantom_images(tmp_path, {"a": small}, ("he",)) == ("a",)
    slide = (tmp_path / "a" / "he.tiff").read_bytes()
    assert phantom_images(tmp_path, {"a": other, "b": small}, ("he",)) == ("a", "b")
    assert (tmp_path / "b" / "he.tiff").read_bytes() == slide != (tmp_path / "a" / "he.tiff").read_bytes()
    (tmp_path / "a" / "truth.parquet").unlink()
    assert phantom_images(tmp_path, {"a": other, "b": small}, ("he",)) == ("a",)
    # The truth is told in the first stain's slide.
    assert phantom_images(tmp_path, {"b": small}, ("ki67", "he")) == ("b",)


def test_marks_lie_on_nuclei(folder):
    """Hematoxylin takes red: it is darker at the marks than where no nucleus is."""
    image = marked_phantom(folder, "one", "he", by_ki67)
    assert (image.name, image.case, image.source, image.synthetic) == ("one", "one", "phantom", True)
    assert (image.width_px, image.height_px, image.mpp) == (512, 512, 0.25)
    inside = [mark for mark in image.marks if 8 < mark.x_px < 504 and 8 < mark.y_px < 504]
    points = np.array([(mark.x_px, mark.y_px) for mark in inside])
    cells = patches_of(image, points, ["cell"] * len(points), ("cell",), 4, 0.25).pixels[..., 0].mean()
    beside = background_boxes(image, 4, 200, seed=0, cell_box_px=40)
    glass = patches_of(image, beside, ["cell"] * len(beside), ("cell",), 4, 0.25).pixels[..., 0].mean()
    assert len(points) > 30
    assert cells < glass - 25


def test_a_moved_section_has_its_own_places(folder):
    fixed, moved = (marked_phantom(folder, "one", stain, by_ki67) for stain in STAINS)
    assert moved.path.name == "ki67.tiff"
    ours = {(round(m.x_px + 80, 3), round(m.y_px + 20, 3)) for m in fixed.marks if m.x_px < 432 and m.y_px < 492}
    assert ours == {(round(m.x_px, 3), round(m.y_px, 3)) for m in moved.marks}
    # Brown takes blue: positive nuclei of the moved slide are darker in it than negative ones.
    made = cell_patches(moved, ("negative", "positive"), 6, 0.25)
    blue = [made.pixels[made.labels == label][..., 2].mean() for label in (0, 1)]
    assert blue[1] < blue[0] - 25


def test_boxes_are_those_of_the_outlines(folder):
    from pyarrow import parquet

    image = marked_phantom(folder, "one", "he", by_ki67)
    table = parquet.read_table(folder / "one" / "truth.parquet")
    outline = np.array(table["outline_px"][0].as_py()).reshape(-1, 2)
    assert (image.marks[0].width_px, image.marks[0].height_px) == pytest.approx(tuple(np.ptp(outline, axis=0)))
    assert all(2 < mark.width_px < 130 for mark in image.marks)


def test_rows_without_a_label_are_left_out(folder):
    image = marked_phantom(folder, "one", "he", lambda table: np.where(table["ki67"].to_numpy(), "positive", ""))
    assert {mark.label for mark in image.marks} == {"positive"}
    with pytest.raises(ValueError, match="give one per row"):
        marked_phantom(folder, "one", "he", lambda table: "positive")


def test_what_was_not_written_is_told(folder):
    with pytest.raises(FileNotFoundError, match="no phantom 'one' in the stain phh3"):
        marked_phantom(folder, "one", "phh3", by_ki67)
    with pytest.raises(FileNotFoundError, match="no phantom 'two'"):
        marked_phantom(folder, "two", "he", by_ki67)


def test_from_phantom_to_patches_on_disk(folder, tmp_path):
    image = marked_phantom(folder, "one", "he", by_ki67)
    made = cell_patches(image, ("negative", "positive"), 32, 0.5)
    write_patch_set(tmp_path / "set", made)
    counts = class_counts(read_patch_set(tmp_path / "set"))
    assert counts == {"one": {name: len(image.points_px(name)) for name in ("negative", "positive")}}
    assert min(counts["one"].values()) > 5
