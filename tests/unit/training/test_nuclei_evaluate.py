"""Estimates from scores whose answer is known."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.training.recipe import small_config
from training.metrics.instances import Matches
from training.nuclei.evaluate import Recall, Score, brecahad_recall, estimates, score


def test_f1_pools_nuclei_while_dice_and_aji_are_means_over_images():
    scores = [
        Score("tnbc", "a", 0, 0.9, 0.8, Matches(90, 5, 5)),
        Score("tnbc", "b", 1, 0.5, 0.4, Matches(0, 5, 5)),
        Score("dsb", "c", 1, 0.7, 0.6, Matches(1, 0, 0)),
    ]
    found = estimates(scores, [], seed=1)
    assert found["tnbc/dice"].value == pytest.approx(0.7)
    assert found["tnbc/aji"].value == pytest.approx(0.6)
    assert found["tnbc/f1"].value == pytest.approx(2 * 90 / (2 * 90 + 10 + 10))
    assert (found["tnbc/dice"].low, found["tnbc/dice"].high) == (0.5, 0.9)
    assert found["dsb/f1"].n == 1
    assert "mitosis_brecahad/recall" not in found


def test_recall_pools_marks():
    recalls = [Recall("Case_1", "x", 10, 9, 0.2), Recall("Case_2", "y", 30, 15, 0.4)]
    found = estimates([], recalls, seed=1)
    assert found["mitosis_brecahad/recall"].value == pytest.approx(24 / 40)
    assert found["mitosis_brecahad/covered"].value == pytest.approx(0.3)


def test_a_perfect_prediction_scores_one():
    truth = np.array([[1, 1, 0, 2, 2]])
    assert score(truth, truth, "d", "i", 0) == Score("d", "i", 0, 1.0, 1.0, Matches(2, 0, 0))


class LeftHalf(torch.nn.Module):
    """Says nucleus in the left half of what it is shown."""

    def forward(self, x):
        logits = torch.zeros(len(x), 3, *x.shape[2:])
        logits[:, 1, :, : x.shape[3] // 2] = 1
        logits[:, 0, :, x.shape[3] // 2 :] = 1
        return logits


def test_brecahad_marks_are_looked_up_at_half_the_scale(tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((64, 128, 3), np.uint8)).save(tmp_path / "images/Case_7-01.png")
    marks = [("Tumor_nuclei", 20, 30), ("Non_tumor_nuclei", 100, 30), ("Tumor_nuclei", 50, 60), ("Lumen", 10, 10)]
    with (tmp_path / "cells.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "class_name", "x_center", "y_center"])
        writer.writerows([("Case_7-01", name, x, y) for name, x, y in marks])
    config = small_config()
    config = config.model_copy(update={"grid": config.grid.model_copy(update={"grow_px": 0})})
    assert brecahad_recall(LeftHalf(), tmp_path, config) == [Recall("Case_7", "Case_7-01", 3, 2, 0.5)]
