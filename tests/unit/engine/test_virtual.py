"""Which outputs are told to be virtual, and which measures a manifest takes for tiles."""

import pytest
from pydantic import ValidationError

from models.importers.deepliif.plan import MASK, shows
from models.manifest import Manifest, OutputSpec
from models.measures_spec import AreasMeasure, TilesMeasure
from models.parameters import parameters_schema
from tests.toy_predictor import toy_manifest
from workers.engine.virtual import makes_virtual_slide, tell_virtual, virtual_texts
from workers.outputs.marks import MARK


def manifest(**changes) -> Manifest:
    made = toy_manifest(kind="classes")
    return Manifest.model_validate(made.model_dump() | changes)


CLASSES = manifest().outputs[0]
PICTURE = OutputSpec(name="ki67", kind="image", activation="tanh", channels=3, virtual="Ki-67 (virtual stain)")


def test_virtual_outputs_are_told_with_the_scores_read_from_them():
    staining = CLASSES.model_copy(update={"name": "staining", "virtual": "read from it"})
    made = manifest(outputs=(PICTURE, staining, CLASSES), measures=(AreasMeasure(output="staining"),))
    picture, scored = tell_virtual(made)
    assert (picture.output, picture.shows, picture.mark, picture.measures) == ("ki67", PICTURE.virtual, MARK, ())
    assert (scored.output, scored.measures) == ("staining", ("areas",))
    first, second = virtual_texts(made)
    assert "not measured" in first and "scores" not in first and "scores areas" in second
    assert makes_virtual_slide(made)


def test_a_package_that_measures_has_nothing_to_tell():
    assert tell_virtual(manifest()) == () and virtual_texts(manifest()) == [] and not makes_virtual_slide(manifest())


def test_of_several_made_pictures_none_is_the_virtual_slide():
    other = PICTURE.model_copy(update={"name": "dapi"})
    assert not makes_virtual_slide(manifest(outputs=(PICTURE, other)))
    plain = PICTURE.model_copy(update={"name": "seg", "virtual": None})
    assert makes_virtual_slide(manifest(outputs=(PICTURE, plain)))


def test_deepliif_makes_its_modalities_and_reads_its_mask():
    assert shows("Lap2", "G3") == "Lap2 (virtual stain)" and shows("seg", MASK) is None


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 121])
def test_what_it_shows_is_one_short_line(text):
    with pytest.raises(ValidationError):
        OutputSpec.model_validate(PICTURE.model_dump() | {"virtual": text})


def test_tiles_are_measured_on_tile_classifiers_alone():
    measure = TilesMeasure(output=CLASSES.name)
    with pytest.raises(ValidationError, match="tile classifier"):
        manifest(measures=(measure,))
    tiles = manifest(task="tile-classification", measures=(measure,))
    assert "threshold" not in parameters_schema(tiles)["properties"]
    with pytest.raises(ValidationError, match="label"):
        manifest(task="tile-classification", measures=(measure.model_copy(update={"label": "Tumor"}),))
    heat = OutputSpec(name="heat", kind="heat", activation="sigmoid", channels=1)
    with pytest.raises(ValidationError, match="label"):
        manifest(task="tile-classification", outputs=(heat,), measures=(TilesMeasure(output="heat"),))
    labelled = TilesMeasure(output="heat", label="Tumor", threshold=0.3)
    made = manifest(task="tile-classification", outputs=(heat,), measures=(labelled,))
    assert parameters_schema(made)["properties"]["threshold"]["default"] == 0.3
