"""What every `Predictor` promises, checked on every runtime of this machine."""

import numpy as np
import pytest

from models.errors import (
    GoldenMismatchError,
    PackageInvalidError,
    PackageTamperedError,
    ProviderUnavailableError,
)
from models.runtimes import PROVIDERS, load_predictor
from tests.packages_made import rewritten, tissue_like

NETWORK_OF = {"onnxruntime-cpu": "written", "openvino-cpu": "written", "torchscript-cpu": "scripted"}


@pytest.mark.parametrize("provider", NETWORK_OF)
class TestPredictor:
    """One class for all runtimes."""

    @pytest.fixture
    def package(self, provider, made_package):
        return made_package(NETWORK_OF[provider])

    @pytest.fixture
    def predictor(self, package, provider):
        predictor = load_predictor(package, provider, threads=1)
        yield predictor
        predictor.close()

    @pytest.fixture
    def batch(self, predictor):
        count, side, _, _ = predictor.batch_shape
        return np.stack([tissue_like(side, seed) for seed in range(count)])

    def test_it_says_who_it_is(self, predictor, provider, package):
        grid = package.manifest.grid
        side = grid.tile_px + 2 * grid.halo_px
        assert predictor.provider == provider
        assert predictor.manifest == package.manifest
        assert predictor.batch_shape == (grid.batch, side, side, 3)

    def test_maps_have_the_manifests_names_shapes_and_type(self, predictor, batch):
        count, side, _, _ = predictor.batch_shape
        maps = predictor.predict(batch)
        assert list(maps) == ["out"]
        assert maps["out"].shape == (count, 3, side // 8, side // 8)
        assert maps["out"].dtype == np.float32

    def test_the_same_batch_gives_the_same_bits(self, predictor, batch):
        first = predictor.predict(batch)["out"].copy()
        np.testing.assert_array_equal(predictor.predict(batch)["out"], first)

    def test_neither_batch_nor_place_nor_threads_nor_repetition_change_a_tile(self, package, provider, batch):
        tile, other = batch[0], batch[1]
        loaded = {(n, t): load_predictor(package, provider, batch=n, threads=t) for n, t in ((1, 1), (3, 1), (3, 2))}
        answers = [loaded[1, 1].predict(tile[np.newaxis])["out"][0]]
        for threads in (1, 2):
            for place in range(3):
                filled = np.stack([tile if i == place else other for i in range(3)])
                answers += [loaded[3, threads].predict(filled)["out"][place] for _ in range(3)]
        # torch picks another kernel for another batch; the last bit of a logit may show it.
        allowed = 1e-6 if provider == "torchscript-cpu" else 0
        for answer in answers[1:]:
            np.testing.assert_allclose(answer, answers[0], rtol=0, atol=allowed)

    def test_answers_are_not_overwritten_by_the_next(self, predictor, batch):
        first = predictor.predict(batch)["out"]
        before = first.copy()
        predictor.predict(batch[::-1].copy())
        np.testing.assert_array_equal(first, before)

    def test_a_tile_does_not_see_its_neighbours_in_the_batch(self, predictor, batch):
        other = batch.copy()
        other[1] = 0
        np.testing.assert_array_equal(predictor.predict(batch)["out"][0], predictor.predict(other)["out"][0])

    def test_a_place_in_the_batch_changes_no_bit(self, package, provider, batch):
        """A tile that two shards share may be computed for either, at another place among other tiles."""
        predictor = load_predictor(package, provider, batch=4, threads=2)
        tile, others = batch[0], np.stack([tissue_like(batch.shape[1], seed) for seed in range(9, 13)])
        answers = []
        for place in range(4):
            filled = np.roll(others, place, axis=0)
            filled[place] = tile
            answers.append(predictor.predict(filled)["out"][place])
        for answer in answers[1:]:
            np.testing.assert_array_equal(answer, answers[0])

    @pytest.mark.parametrize("change", [lambda b: b[:1], lambda b: b[:, :-8], lambda b: b.astype(np.float32)])
    def test_another_shape_or_type_is_refused(self, predictor, batch, change):
        with pytest.raises(ValueError, match="takes uint8"):
            predictor.predict(change(batch))

    def test_statistics_are_refused_where_none_are_declared(self, predictor, batch):
        with pytest.raises(ValueError, match="statistics"):
            predictor.predict(batch, np.zeros(3, dtype=np.float32))
        with pytest.raises(ValueError, match="statistics"):
            predictor.calibrate(batch)

    def test_tile_and_batch_can_be_chosen(self, package, provider):
        predictor = load_predictor(package, provider, tile_px=32, batch=3, threads=1)
        assert predictor.batch_shape == (3, 48, 48, 3)
        assert predictor.predict(np.zeros(predictor.batch_shape, dtype=np.uint8))["out"].shape == (3, 3, 6, 6)

    def test_another_golden_answer_is_refused(self, package, provider, tmp_path):
        from models.golden import read_golden
        from models.packaging import deterministic_npz

        _, answers, _ = read_golden(package)
        wrong = {"golden-output.npz": deterministic_npz({k: v + 0.01 for k, v in answers.items()})}
        other = rewritten(package, tmp_path / "other", lambda manifest: None, wrong)
        with pytest.raises(GoldenMismatchError, match=r"0\.01"):
            load_predictor(other, provider, threads=1)

    def test_an_answer_that_is_no_number_is_refused(self, package, provider, tmp_path):
        from models.golden import read_golden
        from models.packaging import deterministic_npz

        _, answers, _ = read_golden(package)
        wrong = {"golden-output.npz": deterministic_npz({k: v * np.nan for k, v in answers.items()})}
        other = rewritten(package, tmp_path / "other", lambda manifest: None, wrong)
        with pytest.raises(GoldenMismatchError, match="inf"):
            load_predictor(other, provider, threads=1)

    def test_a_tampered_file_is_refused(self, package, provider, tmp_path):
        copy = rewritten(package, tmp_path / "copy", lambda manifest: None)
        path = copy.path("network")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(PackageTamperedError, match=path.name):
            load_predictor(copy, provider, threads=1)

    def test_a_file_that_is_no_network_is_refused(self, package, provider, tmp_path):
        name = package.path("network").name
        other = rewritten(package, tmp_path / "other", lambda manifest: None, {name: b"not a network"})
        with pytest.raises(PackageInvalidError):
            load_predictor(other, provider, threads=1)

    def test_outputs_other_than_the_manifests_are_refused(self, package, provider, tmp_path):
        def two_classes(manifest):
            manifest["outputs"][0]["channels"] = 2
            manifest["outputs"][0]["classes"].pop()

        other = rewritten(package, tmp_path / "other", two_classes)
        with pytest.raises(PackageInvalidError, match="shape"):
            load_predictor(other, provider, threads=1)

    @pytest.mark.parametrize("counts", [{"batch": 0}, {"batch": -1}, {"threads": 0}])
    def test_batches_and_threads_below_one_are_refused(self, package, provider, counts):
        with pytest.raises(ValueError, match="1 or more"):
            load_predictor(package, provider, **counts)

    def test_a_closed_network_answers_no_more(self, package, provider):
        from models.errors import InternalError

        predictor = load_predictor(package, provider, threads=1)
        predictor.close()
        with pytest.raises(InternalError, match="closed"):
            predictor.predict(np.zeros(predictor.batch_shape, dtype=np.uint8))


def test_every_provider_of_the_cpu_has_its_conformance():
    assert {name for names in PROVIDERS.values() for name in names if name.endswith("-cpu")} == set(NETWORK_OF)


def test_cuda_is_refused_where_it_does_not_run(made_package):
    from models.runtimes.onnx_runtime import import_onnxruntime

    if "CUDAExecutionProvider" in import_onnxruntime().get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ProviderUnavailableError, match="onnxruntime-cuda was asked for"):
        load_predictor(made_package("written"), "onnxruntime-cuda")


def test_scripted_cuda_is_refused_where_it_does_not_run(made_package):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ProviderUnavailableError, match="no CUDA device"):
        load_predictor(made_package("scripted"), "torchscript-cuda")


@pytest.mark.parametrize(
    ("name", "provider"), [("written", "torchscript-cpu"), ("scripted", "openvino-cpu"), ("written", "x")]
)
def test_a_provider_of_other_weights_is_refused(made_package, name, provider):
    with pytest.raises(ProviderUnavailableError, match="Ask for one of"):
        load_predictor(made_package(name), provider)


@pytest.mark.parametrize(("tile_px", "message"), [(60, "multiples of 8"), (0, "8 px")])
def test_tiles_the_network_does_not_take_are_refused(made_package, tile_px, message):
    with pytest.raises(ValueError, match=message):
        load_predictor(made_package("written"), tile_px=tile_px)


def test_runtimes_agree(made_package):
    tile = tissue_like(80, 5)[np.newaxis].repeat(2, axis=0)
    answers = [
        load_predictor(made_package(name), provider, threads=1).predict(tile)["out"]
        for provider, name in NETWORK_OF.items()
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-5)
