"""Real consecutive sections of a lung lesion, against the landmarks of two readers (BSD-3 / CC BY-SA data)."""

import csv

import numpy as np
import pytest
from PIL import Image

from workers.registration.align import register

MPP = 0.174 / 0.05
NAME = "29-041-Izd2-w35-{}-les3"
LANDMARK_SCALE = 10
"""Landmarks were set at 50 %, the pictures are at 5 %."""
BOUNDS_PX = {"CD31-3": 6.0, "Ki67-7": 11.0}
"""Median error after the warp: measured 4.8 and 9.6 (docs/registration.md)."""


@pytest.fixture(scope="module")
def lung(data_dir):
    folder = data_dir / "registration_lung_lesion"
    if not folder.is_dir():
        pytest.skip("registration_lung_lesion is not among the real data")
    return folder


def picture(lung, stain):
    return np.asarray(Image.open(lung / "images_5pc" / f"{NAME.format(stain)}.jpg").convert("RGB"))


def landmarks(lung, stain, reader="PS"):
    with (lung / f"landmarks_50pc_user-{reader}" / f"{NAME.format(stain)}.csv").open(newline="") as lines:
        return np.array([(float(row["X"]), float(row["Y"])) for row in csv.DictReader(lines)]) / LANDMARK_SCALE


def miss(mapped, truth):
    return float(np.median(np.hypot(*(mapped - truth).T)))


@pytest.mark.parametrize("stain", sorted(BOUNDS_PX))
def test_landmarks_come_nearer_with_the_pose_and_nearer_with_the_warp(lung, stain):
    found = register(picture(lung, "He"), picture(lung, stain), MPP)
    here, there = landmarks(lung, "He"), landmarks(lung, stain)
    pose, warp = miss(found.map_points(here, field=False), there), miss(found.map_points(here), there)
    assert found.quality.trusted, found.quality.reasons
    assert warp < pose < miss(here, there) / 2
    assert warp < BOUNDS_PX[stain]
    assert found.quality.similarity_before < found.quality.similarity_pose < found.quality.similarity_warp
    assert found.inverse_points(found.map_points(here)) == pytest.approx(here, abs=0.01)


def test_a_mirrored_section_is_not_trusted(lung):
    found = register(picture(lung, "He"), picture(lung, "CD31-3")[:, ::-1].copy(), MPP)
    assert not found.quality.trusted
    assert any("of the tissue is found" in reason for reason in found.quality.reasons)
