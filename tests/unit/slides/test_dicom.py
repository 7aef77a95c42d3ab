import numpy as np
import pytest

from models.errors import (
    MppOutOfRangeError,
    RefusedInputError,
    SlideAbsurdError,
    SlideUnreadableError,
    SlideUnsupportedError,
)
from tests import making, making_raw
from workers.geometry import Box
from workers.slides import open_slide

PLAIN = {"ImageType": None, "DimensionOrganizationType": None}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return making.tissue(640, 400, seed=8)


def whole(slide) -> np.ndarray:
    return slide.read(Box(0, 0, slide.info.width_px, slide.info.height_px), slide.info.mpp)


def test_uncompressed_frames_come_back_as_written(tmp_path, pixels):
    slide = open_slide(making_raw.write_dicom(tmp_path / "a.dcm", pixels, jpeg=False))
    assert np.array_equal(whole(slide), pixels)
    assert (slide.info.format, slide.info.reader, slide.info.mpp) == ("dicom-wsi", "wsidicom", 0.5)


def test_jpeg_frames_keep_their_colours(tmp_path, pixels):
    slide = open_slide(making_raw.write_dicom(tmp_path / "a.dcm", pixels))
    assert np.abs(whole(slide).astype(int) - pixels).max() < 20


def test_a_folder_is_one_slide_with_its_levels(tmp_path, pixels):
    making_raw.write_dicom(tmp_path / "x.dcm", making.halve(pixels, 2), 1.0, jpeg=False)
    making_raw.write_dicom(tmp_path / "y.dcm", pixels, 0.5, jpeg=False)
    making_raw.write_dicom(tmp_path / "z.dcm", pixels[:128, :128], ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    (tmp_path / "notes.txt").write_text("no DICOM")
    slide = open_slide(tmp_path)
    assert [level.downsample for level in slide.info.levels] == [1, 2]
    assert np.array_equal(slide.read(Box(0, 0, 320, 200), 1.0), making.halve(pixels, 2))


def test_a_label_alone_is_never_served(tmp_path, pixels):
    path = making_raw.write_dicom(tmp_path / "a.dcm", pixels, ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    with pytest.raises(SlideUnsupportedError, match="never served"):
        open_slide(path)


def test_nothing_of_the_patient_leaves(tmp_path, pixels):
    info = open_slide(making_raw.write_dicom(tmp_path / "a.dcm", pixels)).info
    assert info.technical == {"scanner": "Scanner 3000", "manufacturer": "ACME"}
    assert "Doe" not in repr(info)
    assert "12345" not in repr(info)


def test_a_header_without_tile_places_is_read_in_the_order_the_pixels_prove(tmp_path, pixels):
    path = making_raw.write_dicom(tmp_path / "rows.dcm", pixels, **PLAIN)
    slide = open_slide(path, 0.5)
    assert np.abs(whole(slide).astype(int) - pixels).max() < 20
    assert "row by row" in slide.info.warnings[0]
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    by_columns = making_raw.write_dicom(
        tmp_path / "columns.dcm",
        turned,
        columns_first=True,
        **PLAIN,
    )
    slide = open_slide(by_columns, 0.5)
    assert "column by column" in slide.info.warnings[0]
    assert np.abs(whole(slide).astype(int) - turned).max() < 20


def test_an_order_the_pixels_do_not_prove_is_refused(tmp_path):
    flat = np.full((400, 640, 3), 240, np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (400, 640, 3), dtype=np.uint8)
    for name, image in (("flat", flat), ("noise", noise)):
        path = making_raw.write_dicom(tmp_path / name, image, **PLAIN)
        if name == "noise":
            with pytest.raises(SlideUnreadableError, match="do not tell"):
                open_slide(path, 0.5)
        else:
            assert (whole(open_slide(path, 0.5)) == 240).all()


def test_a_volume_that_is_not_square_is_no_resolution(tmp_path, pixels):
    path = making_raw.write_dicom(tmp_path / "a.dcm", pixels, mpp=None, **PLAIN)
    with pytest.raises(MppOutOfRangeError, match="not square"):
        open_slide(path)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"TotalPixelMatrixColumns": 2**31 - 1}, SlideAbsurdError),
        ({"Rows": 65535, "Columns": 65535}, SlideAbsurdError),
        ({"TotalPixelMatrixRows": 0}, SlideUnreadableError),
        ({"BitsStored": 16}, SlideUnsupportedError),
        ({"SamplesPerPixel": 1}, SlideUnsupportedError),
        ({"NumberOfFrames": 2**31 - 1, **PLAIN}, SlideAbsurdError),
        ({"NumberOfFrames": 19, **PLAIN}, SlideUnreadableError),
        ({"TotalPixelMatrixColumns": 6400}, RefusedInputError),
    ],
)
def test_claims_that_cannot_be_are_refused(tmp_path, pixels, changes, kind):
    with pytest.raises(kind):
        open_slide(making_raw.write_dicom(tmp_path / "a.dcm", pixels, **changes), 0.5)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.01, 0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("plain", [True, False])
def test_a_truncated_file_is_refused(tmp_path, pixels, kept, plain):
    path = making_raw.write_dicom(tmp_path / "a.dcm", pixels, **(PLAIN if plain else {}))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(RefusedInputError):
        open_slide(path, 0.5)
