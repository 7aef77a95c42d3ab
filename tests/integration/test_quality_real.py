"""Tissue, ink, stain and focus of real files; what people see in them is written beside each."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.array_slide import ArraySlide
from workers.geometry import Box
from workers.quality import assess, estimate_focus, find_tissue
from workers.slides import Slide, open_slide

pytestmark = pytest.mark.data

LUNG = "registration_lung_lesion/images_5pc/29-041-Izd2-w35-{}-les3.jpg"
SEEN = [
    # file, mpp to take (None: the file's), tissue fraction from and to, stain
    ("slides/CMU-1-Small-Region.svs", None, 0.37, 0.44, "he"),
    ("slides/rationai-CMU-1-small.tiff", None, 0.17, 0.23, "he"),
    ("slides/tcga-cr-7395-01a-01-ts1.svs", 0.5, 0.60, 0.70, "he"),
    ("slides/small_dicom.dcm", 0.5, 0.37, 0.50, "he"),
    ("ki67_ihc_openslide/OS-2-ndpi.ome.tif", None, 0.70, 0.85, "ihc-dab"),
    ("single_images/skimage_ihc.png", 0.5, 0.80, 1.00, "ihc-dab"),
    ("single_images/stardist_histo.jpg", 0.5, 0.98, 1.00, "he"),
    ("single_images/openslide_CMU-1-detail.png", 0.5, 0.95, 1.00, "he"),
    (LUNG.format("He"), 3.5, 0.50, 0.80, "he"),
    (LUNG.format("CD31-3"), 3.5, 0.50, 0.80, "ihc-dab"),
    (LUNG.format("Ki67-7"), 3.5, 0.50, 0.80, "ihc-dab"),
    # Fainter than the glass of other scanners.
    (LUNG.format("Cc10-5"), 3.5, 0.45, 0.85, "ihc-dab"),
    (LUNG.format("proSPC-4"), 3.5, 0.45, 0.85, "ihc-dab"),
    ("qc_tiles/low-nuclei-score-level0.png", 0.5, 0.40, 0.80, "he"),
    ("qc_tiles/medium-nuclei-score-level2.png", 0.5, 0.75, 0.90, "he"),
    ("qc_tiles/medium-nuclei-score-green-pen-level1.png", 1.0, 0.40, 0.60, "he"),
    ("qc_tiles/thumb_tcga-green-pen.png", 30.0, 0.75, 0.90, "he"),
    ("qc_tiles/thumb_tcga-lung-rgb.png", 30.0, 0.80, 0.95, "he"),
    ("qc_tiles/thumb_wsi-blue-pen.png", 30.0, 0.30, 0.55, "he"),
]
INKED = [
    ("qc_tiles/no-tissue-green-pen.png", 0.5, 0.70, 0.90),
    ("qc_tiles/medium-nuclei-score-green-pen-level1.png", 1.0, 0.40, 0.60),
    ("qc_tiles/thumb_tcga-green-pen.png", 30.0, 0.12, 0.20),
    ("qc_tiles/thumb_wsi-blue-pen.png", 30.0, 0.03, 0.08),
    ("slides/small_dicom.dcm", 0.5, 0.08, 0.16),
]
FOCUSED = [
    ("slides/CMU-1-Small-Region.svs", None),
    ("slides/tcga-cr-7395-01a-01-ts1.svs", 0.5),
    ("ki67_ihc_openslide/OS-1-detail.ome.tif", None),
    ("ki67_ihc_openslide/OS-2-ndpi.ome.tif", None),
    ("single_images/stardist_histo.jpg", 0.5),
    ("single_images/skimage_ihc.png", 0.5),
]


def _open(data_dir: Path, name: str, mpp: float | None) -> Slide:
    path = data_dir / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the real data")
    if path.suffix in (".png", ".jpg"):
        return ArraySlide(np.asarray(Image.open(path).convert("RGB")), mpp)
    return open_slide(path, mpp)


class _Blurred:
    """A slide as if out of focus by a Gaussian with a sigma of 0.75 um."""

    def __init__(self, slide: Slide) -> None:
        self._slide, self.info = slide, slide.info

    def read(self, box: Box, mpp: float) -> np.ndarray:
        sigma = 0.75 / mpp
        margin = 1 + round(4 * sigma)
        seen = self._slide.read(box.grow(margin), mpp).astype(np.float32)
        blurred = ndimage.gaussian_filter(seen, (sigma, sigma, 0))
        return blurred[margin:-margin, margin:-margin].astype(np.uint8)


@pytest.mark.parametrize(("name", "mpp", "least", "most", "stain"), SEEN, ids=[row[0].split("/")[-1] for row in SEEN])
def test_tissue_and_stain_are_those_people_see(data_dir, name, mpp, least, most, stain):
    report = assess(_open(data_dir, name, mpp))
    assert least <= report.tissue_fraction <= most
    assert report.stain.stain == stain
    assert report.stain.confidence > 0.5


@pytest.mark.parametrize(("name", "mpp", "least", "most"), INKED, ids=[row[0].split("/")[-1] for row in INKED])
def test_ink_is_seen(data_dir, name, mpp, least, most):
    assert least <= assess(_open(data_dir, name, mpp)).pen_fraction <= most


@pytest.mark.parametrize("name", ["no-tissue-line.png", "no-tissue-green-pen.png"])
def test_glass_with_a_rim_or_ink_has_no_tissue(data_dir, name):
    assert find_tissue(_open(data_dir, f"qc_tiles/{name}", 0.5)).mask.sum() == 0


def test_glass_beside_a_corner_of_tissue_is_glass(data_dir):
    mask = find_tissue(_open(data_dir, "qc_tiles/almost-white-2.png", 0.5)).mask
    height, width = mask.shape
    corner = np.zeros_like(mask)
    corner[: height // 4, width // 2 :] = True
    assert not mask[~corner].any()
    assert mask.mean() < 0.08


@pytest.mark.parametrize("folder", ["mitosis_brecahad/images", "nuclei_tnbc/images", "nuclei_dsb2018/images"])
def test_regions_of_tissue_are_h_and_e_without_ink(data_dir, folder):
    files = sorted(path for path in (data_dir / folder).glob("*") if path.suffix in (".png", ".jpg"))[::4]
    if not files:
        pytest.skip(f"{folder} is not among the real data")
    reports = {path.name: assess(_open(path.parent, path.name, 0.25)) for path in files}
    assert {name for name, report in reports.items() if report.pen_fraction > 0.01} == set()
    assert {name for name, report in reports.items() if report.tissue_fraction < 0.05} == set()
    assert {name for name, report in reports.items() if report.stain.stain != "he"} == set()
    assert {name for name, report in reports.items() if report.focus.blurred} == set()


@pytest.mark.parametrize(("name", "mpp"), FOCUSED, ids=[row[0].split("/")[-1] for row in FOCUSED])
def test_real_slides_are_sharp_and_not_after_a_blur(data_dir, name, mpp):
    slide = _open(data_dir, name, mpp)
    tissue = find_tissue(slide)
    focus = estimate_focus(slide, tissue)
    assert focus.in_focus >= 0.95
    assert focus.blurred == 0, "nothing sharp is refused"
    assert estimate_focus(_Blurred(slide), tissue).in_focus <= 0.05
