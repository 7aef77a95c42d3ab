"""No image of a held-out case is trained on; validation images lie inside the training part."""

import pytest

from tests.unit.training.mitosis.made import made_image
from training.mitosis.config import Config
from training.mitosis.parts import FINAL, fold_names, parts_of


def images():
    real = [made_image(f"{case}-{n}", case, mitoses=n % 2) for case in ("11", "12", "13") for n in range(6)]
    phantoms = [made_image(f"phantom-{n}", f"phantom-{n}", 1, True, "phantom") for n in range(6)]
    return (*real, *phantoms)


HELD_OUT = ("phantom-4", "phantom-5")


def test_one_fold_for_every_real_case_and_the_final_one():
    assert fold_names(images(), Config()) == ("11", "12", "13", FINAL)
    assert fold_names(images(), Config(folds=("13",))) == ("13",)
    with pytest.raises(ValueError, match="14"):
        fold_names(images(), Config(folds=("14",)))


@pytest.mark.parametrize("fold", ["11", "12", "13", FINAL])
def test_parts_share_nothing_and_the_case_is_in_test_alone(fold):
    parts = parts_of(images(), HELD_OUT, fold, Config())
    every = [*parts.train, *parts.validation, *parts.test]
    assert sorted(every) == sorted(image.name for image in images())
    assert not any(name.startswith(f"{fold}-") for name in (*parts.train, *parts.validation))
    assert set(HELD_OUT) <= set(parts.test)
    assert len(parts.test) == (2 if fold == FINAL else 8)


def test_validation_has_images_with_and_without_mitoses_of_every_source():
    parts = parts_of(images(), HELD_OUT, "13", Config())
    real = [name for name in parts.validation if not name.startswith("phantom")]
    assert {int(name[-1]) % 2 for name in real} == {0, 1}
    assert any(name.startswith("phantom") for name in parts.validation)


def test_many_cases_are_validated_by_case():
    many = tuple(made_image(f"{case}-{n}", str(case), n) for case in range(12) for n in range(3))
    assert fold_names(many, Config()) == (*(f"part-{n}" for n in range(5)), FINAL)
    parts = parts_of(many, (), "part-0", Config())
    cases = [{name.split("-")[0] for name in part} for part in (parts.train, parts.validation, parts.test)]
    assert all(cases)
    assert not cases[0] & cases[1] and not cases[0] & cases[2] and not cases[1] & cases[2]


def test_an_unknown_fold_is_refused():
    with pytest.raises(ValueError, match="no fold '14'"):
        parts_of(images(), HELD_OUT, "14", Config())
