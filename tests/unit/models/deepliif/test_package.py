"""What is refused before anything is read, and the sizes that follow from the networks."""

import numpy as np
import pytest

from models.errors import PackageInvalidError
from models.importers.deepliif.package import Request, exact_halo_px, import_deepliif, synthetic_ihc


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request("../x"), "no package name"),
        (Request("x", version="1"), "no package version"),
        (Request("x", tile_px=512), "In compat"),
        (Request("x", halo_px=0), "In compat"),
        (Request("x"), "There is no folder"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_and_nothing_is_made(tmp_path, request_, says):
    with pytest.raises(PackageInvalidError, match=says):
        import_deepliif(tmp_path / "absent", tmp_path / "models", request_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("radius", "stride", "halo"), [(84, 4, 84), (85, 4, 88), (177, 32, 192), (1617, 512, 512), (849, 256, 512)]
)
def test_the_halo_holds_the_radius_up_to_its_limit(radius, stride, halo):
    assert exact_halo_px(radius, stride) == halo


def test_the_golden_picture_has_both_stains_and_is_always_the_same():
    picture = synthetic_ihc(64)
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    assert (picture == synthetic_ihc(64)).all()
    red, blue = picture[..., 0].astype(int), picture[..., 2].astype(int)
    assert (red - blue > 40).any()
    assert (blue - red > 40).any()
