from dataclasses import replace

import pytest

from models.errors import RefusedInputError
from training.phantom.spec import PhantomSpec, Section


@pytest.mark.parametrize(
    "wrong",
    [
        {"tissue": 1.2},
        {"ki67": -0.1},
        {"mpp": 0.0},
        {"width_px": 0},
        {"pieces": 0},
        {"look": "neon"},
        {"quality": 0},
        {"hotspots": -1},
    ],
)
def test_nonsense_is_refused_with_its_value(wrong):
    with pytest.raises(RefusedInputError) as error:
        PhantomSpec(**wrong)
    assert str(next(iter(wrong.values()))) in error.value.detail
    assert error.value.remedy


def test_the_digest_knows_every_field():
    spec = PhantomSpec()
    assert spec.digest() == PhantomSpec().digest()
    others = [replace(spec, seed=1), replace(spec, noise=0.0), replace(spec, sections=(Section("ki67", 1.0),))]
    assert len({spec.digest(), *(other.digest() for other in others)}) == 4


def test_sections_are_found_by_stain():
    spec = PhantomSpec(sections=(Section("ki67", 5.0),))
    assert spec.section("ki67").shift_x_um == 5.0
    assert spec.section("he") == Section("he")
