import json
from dataclasses import replace

import ome_zarr_models.v05
import pytest
import yaozarrs
import zarr

from tests.unit.outputs.samples import make_frame, make_spec, random_values, store
from workers.outputs.maps import MapSpec, create_maps
from workers.outputs.ngff import group_metadata

KINDS = ["classes", "heat", "image", "probabilities"]


@pytest.mark.parametrize("kind", KINDS)
def test_both_public_validators_accept_a_map(tmp_path, kind):
    spec = make_spec(1300, 700, kind, shard=512, chunk=256)
    store(tmp_path, spec, random_values(spec))
    yaozarrs.validate_zarr_store(str(tmp_path / spec.folder_name))
    group = zarr.open_group(tmp_path / spec.folder_name, mode="r")
    model = ome_zarr_models.v05.ImageLabel if kind == "classes" else ome_zarr_models.v05.Image
    assert len(model.from_zarr(group).ome_attributes.multiscales[0].datasets) == spec.levels == 3


@pytest.mark.parametrize("virtual", [None, "Ki-67"])
@pytest.mark.parametrize("kind", KINDS)
def test_metadata_are_what_the_formats_own_model_writes(kind, virtual):
    spec = replace(make_spec(1300, 700, kind), virtual=virtual)
    written = group_metadata(spec, make_frame(1300, 700))["attributes"]["ome"]
    model = yaozarrs.v05.LabelImage if kind == "classes" else yaozarrs.v05.Image
    meant = model.model_validate(written).model_dump(mode="json", by_alias=True, exclude_none=True)
    # Not only equal: in the same order, with the same spelling of numbers.
    assert json.dumps(written) == json.dumps(meant)


def _attributes(tmp_path, spec, scale=2.0):
    create_maps(tmp_path, [spec], make_frame(spec.width_px, spec.height_px, scale))
    return json.loads((tmp_path / spec.folder_name / "zarr.json").read_bytes())["attributes"]


def test_pixel_centres_lie_where_the_slide_has_them(tmp_path):
    spec = MapSpec("m", "heat", 1, 4, 1100, 600, 512, 512, 0)
    datasets = _attributes(tmp_path, spec)["ome"]["multiscales"][0]["datasets"]
    for level, dataset in enumerate(datasets):
        scale, translation = dataset["coordinateTransformations"]
        # Index 3 of a level of 4 x 0.5 um x 2^level covers 3 to 4 pixels from the slide's corner; the world's origin is
        # the middle of level-0 pixel 0, an eighth of a um from that corner.
        mpp = 2.0 * 2**level
        assert scale["scale"][1] * 3 + translation["translation"][1] == pytest.approx(3.5 * mpp - 0.125)
        assert scale["scale"] == [mpp, mpp]


def test_our_own_attributes_say_where_and_what(tmp_path):
    own = _attributes(tmp_path, make_spec(100, 80))["histoserve"]
    assert own["mpp"] == 0.5 and own["level0_mpp"] == 0.25 and own["kind"] == "classes"
    assert own["level0_affine"] == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    assert own["bounds"] == {"x": 64, "y": 32, "width": 136, "height": 128}
    assert own["notice"].startswith("Research use only")
    assert own["classes"][1] == {"value": 1, "name": "nucleus", "colour": [0, 160, 60], "background": False}
    assert own["not_analysed"] == 255


def test_class_maps_carry_their_colours_as_labels(tmp_path):
    label = _attributes(tmp_path, make_spec(100, 80))["ome"]["image-label"]
    colours = {entry["label-value"]: entry["rgba"] for entry in label["colors"]}
    assert colours == {0: [250, 250, 250, 0], 1: [0, 160, 60, 255], 2: [255, 200, 0, 255], 255: [0, 0, 0, 0]}


def test_channels_are_named(tmp_path):
    names = [c["label"] for c in _attributes(tmp_path, make_spec(10, 10, "probabilities"))["ome"]["omero"]["channels"]]
    assert names == ["background", "nucleus", "border"]
    names = [c["label"] for c in _attributes(tmp_path, make_spec(10, 10, "image"))["ome"]["omero"]["channels"]]
    assert names == ["red", "green", "blue"]
