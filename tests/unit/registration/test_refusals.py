"""What cannot be registered is refused before anything is computed; what tells sections apart is named."""

import numpy as np
import pytest

from models.errors import NotScorableError, RefusedInputError
from workers.registration.align import register
from workers.registration.commands import read_points
from workers.registration.errors import RegistrationFailedError
from workers.registration.judging import judge_numbers
from workers.registration.structure import coarser, cropped, section_of

GOOD = {"agreeing": 0.9, "common": 0.9, "scale": 1.0, "stretch": 1.01, "least_jacobian": 0.9}


def picture(side: int = 96) -> np.ndarray:
    """Glass with a dark violet square in its middle."""
    rgb = np.full((side, side, 3), 240, dtype=np.uint8)
    rgb[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = (110, 60, 150)
    return rgb


def test_blank_glass_is_refused():
    blank = np.random.default_rng(0).normal(238, 1.5, (96, 96, 3)).astype(np.uint8)
    with pytest.raises(RegistrationFailedError, match="The moving picture holds 0 px of tissue"):
        register(picture(), blank, 4.0)


def test_a_tiny_picture_is_refused():
    with pytest.raises(RegistrationFailedError, match="The fixed picture has 40 x 40 px"):
        register(picture(40), picture(), 4.0)


def test_an_empty_mask_of_tissue_is_refused():
    with pytest.raises(RegistrationFailedError, match="tissue"):
        register(picture(), picture(), 4.0, fixed_tissue=np.zeros((96, 96), dtype=bool))


def test_the_error_is_one_that_the_command_line_ends_with_3_for():
    assert issubclass(RegistrationFailedError, NotScorableError)
    assert RegistrationFailedError.slug == "registration-failed"


def test_a_good_map_has_no_reasons():
    assert tuple(judge_numbers(100, GOOD)) == ()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("agreeing", 0.16, "16% of the tissue"),
        ("common", 0.1, "10% of the fixed tissue"),
        ("scale", 0.7, "scale is 0.70"),
        ("stretch", 1.3, "stretched 1.30"),
        ("least_jacobian", -0.2, "-0.20 of its area"),
    ],
)
def test_a_bad_map_is_told_by_its_number(name, value, reason):
    (told,) = judge_numbers(100, GOOD | {name: value})
    assert reason in told


def test_too_few_patches_cannot_be_judged():
    (told,) = judge_numbers(7, GOOD)
    assert "7 patches" in told


def test_tissue_is_what_is_denser_than_glass():
    section = section_of(picture(), 4.0)
    assert section.tissue[48, 48] and not section.tissue[5, 5]
    assert section.density[5, 5] == pytest.approx(0.0, abs=1e-6)


def test_a_crop_holds_the_tissue_and_a_margin():
    whole = section_of(picture(300), 4.0)
    part, (x, y) = cropped(whole)
    assert part.tissue.sum() == whole.tissue.sum()
    assert 60 <= x <= 68 and x == y
    assert np.array_equal(part.density, whole.density[y : y + part.shape[0], x : x + part.shape[1]])


def test_a_coarser_section_holds_means():
    fine = section_of(picture(98), 2.0)
    coarse = coarser(fine, 4)
    assert coarse.shape == (25, 25) and coarse.mpp == 8.0
    assert coarse.density[10, 10] == pytest.approx(fine.density[40:44, 40:44].mean())


@pytest.mark.parametrize("text", ["x,y\n1,2\n", "x_px,y_px\n1,two\n", "x_px,y_px\n1,nan\n", "x_px,y_px\n1\n"])
def test_points_that_are_none_are_refused(tmp_path, text):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(RefusedInputError):
        read_points(tmp_path / "points.csv")


def test_points_are_read(tmp_path):
    (tmp_path / "points.csv").write_text("id,x_px,y_px\n7,1.5,2\n8,3,4\n")
    assert read_points(tmp_path / "points.csv").tolist() == [[1.5, 2.0], [3.0, 4.0]]
