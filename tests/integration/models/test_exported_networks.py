"""Networks exported from torch, on every runtime that takes ONNX: statistics that are an input, tiles of one size."""

import numpy as np
import pytest
import torch

from models.nets.frozen_norm import Calibrator
from models.preprocess import to_input
from models.runtimes import load_predictor
from tests.packages_made import RECIPES, build_network, tissue_like


def test_a_classifier_answers_with_one_pixel_per_tile(made_package):
    predictor = load_predictor(made_package("classifier"), threads=1)
    assert predictor.predict(np.zeros((2, 32, 32, 3), dtype=np.uint8))["out"].shape == (2, 3, 1, 1)


def test_tiles_a_classifier_does_not_take_are_refused(made_package):
    with pytest.raises(ValueError, match="32 px only"):
        load_predictor(made_package("classifier"), tile_px=64)


@pytest.mark.parametrize("provider", ["onnxruntime-cpu", "openvino-cpu"])
def test_a_network_exported_by_torch_answers_as_the_one_written_node_by_node(made_package, provider):
    tile = tissue_like(80, 5)[np.newaxis].repeat(2, axis=0)
    written, exported = (
        load_predictor(made_package(name), provider, threads=1).predict(tile)["out"] for name in ("written", "fcn8")
    )
    np.testing.assert_allclose(exported, written, atol=1e-5)


class TestFrozenStatistics:
    """A network whose statistics are an input."""

    @pytest.fixture(params=["onnxruntime-cpu", "openvino-cpu"])
    def predictor(self, request, made_package):
        return load_predictor(made_package("frozen"), request.param, threads=1)

    def test_statistics_are_those_of_torch(self, predictor):
        tiles = np.stack([tissue_like(64, seed) for seed in range(4)])
        inputs = torch.from_numpy(to_input(tiles, predictor.manifest.input))
        expected = Calibrator(build_network(RECIPES["frozen"]))(inputs).numpy()
        np.testing.assert_allclose(predictor.calibrate(tiles), expected, rtol=1e-4, atol=1e-5)

    def test_calibrated_on_the_picture_itself_it_is_plain_instance_norm(self, predictor):
        tile = tissue_like(predictor.batch_shape[1], 2)
        statistics = predictor.calibrate(tile[np.newaxis])
        answer = predictor.predict(tile[np.newaxis].repeat(2, axis=0), statistics)["out"][0]
        plain = build_network(RECIPES["frozen"])(torch.from_numpy(to_input(tile[np.newaxis], predictor.manifest.input)))
        np.testing.assert_allclose(answer, plain[0].numpy(), atol=1e-4)

    def test_they_are_needed(self, predictor):
        with pytest.raises(ValueError, match="statistics"):
            predictor.predict(np.zeros(predictor.batch_shape, dtype=np.uint8))

    @pytest.mark.parametrize(
        "statistics",
        [np.zeros(5, np.float32), np.zeros(32), np.full(32, np.nan, np.float32), np.zeros((1, 32), np.float32)],
        ids=["length", "type", "nan", "rank"],
    )
    def test_others_are_refused(self, predictor, statistics):
        with pytest.raises(ValueError, match="32 finite float32"):
            predictor.predict(np.zeros(predictor.batch_shape, dtype=np.uint8), statistics)

    @pytest.mark.parametrize("sample", [np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3), np.float32)])
    def test_a_sample_is_a_batch_of_tiles(self, predictor, sample):
        with pytest.raises(ValueError, match="a sample is uint8"):
            predictor.calibrate(sample)
