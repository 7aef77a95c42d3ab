"""From trained weights to a package that answers as the network does."""

import numpy as np
import pytest

from models.errors import OutputConflictError
from models.registry import resolve
from models.runtimes import load_predictor
from tests.unit.training.recipe import disc_sample, small_config, small_prepared
from training.metrics.intervals import Estimate
from training.nuclei.data import Prepared
from training.nuclei.evaluate import REPORT, Report
from training.nuclei.network import STRIDE_PX
from training.nuclei.package import GOLDEN_SAMPLE, export_package
from training.nuclei.predict import predict_logits
from training.nuclei.train import load_network, train

ESTIMATES = {"nuclei_tnbc:he/dice": Estimate(0.7, 0.6, 0.8, 6)}


@pytest.fixture(scope="module")
def config():
    config = small_config(steps=2)
    return config.model_copy(update={"grid": config.grid.model_copy(update={"tile_px": 64, "halo_px": 40})})


@pytest.fixture(scope="module")
def prepared():
    few = small_prepared()
    pink = disc_sample(GOLDEN_SAMPLE[1], GOLDEN_SAMPLE[0])
    return Prepared((*few.samples, pink), (*few.groups, "d"), (*few.folds, 0), few.digests)


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory, config, prepared):
    """A work folder with a final network and a report."""
    folder = tmp_path_factory.mktemp("work")
    train(prepared, config, folder, None)
    report = Report(config=config.digest(), data=prepared.digests, estimates=ESTIMATES, images=(), brecahad=())
    (folder / REPORT).write_text(report.model_dump_json())
    return folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory, config, prepared, work_dir):
    folder = tmp_path_factory.mktemp("zoo")
    export_package(prepared, config, work_dir, folder, "1.2.3")
    return folder


def test_the_package_gives_the_logits_of_the_network(zoo, config, work_dir):
    predictor = load_predictor(resolve("nuclei", (zoo,)), threads=1)
    tile = np.random.default_rng(1).integers(0, 256, predictor.batch_shape, dtype=np.uint8)
    expected = predict_logits(load_network(config, work_dir / "final/weights.pt"), tile[0])
    np.testing.assert_allclose(predictor.predict(tile)["nuclei"][0], expected, atol=1e-4)
    predictor.close()


def test_the_manifest_carries_numbers_recipe_and_limits(zoo, config):
    manifest = resolve("nuclei@1.2.3", (zoo,)).manifest
    (metric,) = manifest.metrics
    assert (metric.value, metric.low, metric.high, metric.n, metric.synthetic) == (0.7, 0.6, 0.8, 6, False)
    assert manifest.recipe["config"] == config.digest()
    assert manifest.recipe["data:nuclei_tnbc"] == "0" * 64
    assert manifest.grid.align_px == STRIDE_PX
    assert "Not for diagnosis" in manifest.not_for


def test_the_card_is_filled_in(zoo):
    card = resolve("nuclei", (zoo,)).path("card").read_text("utf-8")
    assert "| TNBC, H&E, 40x halved | Dice of all nuclei | 0.700 | 0.600 to 0.800 | 6 |" in card
    assert "{" not in card
    assert all(credit in card for credit in ("Naylor", "CC BY 4.0", "CC0"))


def test_a_version_is_never_overwritten(zoo, config, prepared, work_dir):
    with pytest.raises(OutputConflictError):
        export_package(prepared, config, work_dir, zoo, "1.2.3")


def test_a_report_of_other_data_is_refused(tmp_path, config, prepared, work_dir):
    other = Prepared(prepared.samples, prepared.groups, prepared.folds, {"nuclei_tnbc": "1" * 64})
    with pytest.raises(ValueError, match="evaluate again"):
        export_package(other, config, work_dir, tmp_path, "1.0.0")


def test_a_halo_below_the_receptive_radius_is_refused(tmp_path, config, prepared, work_dir):
    short = config.model_copy(update={"grid": config.grid.model_copy(update={"halo_px": 16})})
    with pytest.raises(ValueError, match="receptive radius"):
        export_package(prepared, short, work_dir, tmp_path, "1.0.0")


def test_the_bundled_package_does_not_look_beyond_its_halo():
    predictor = load_predictor(resolve("nuclei"), tile_px=64, threads=1)
    halo = predictor.manifest.grid.halo_px
    generator = np.random.default_rng(5)
    tile = generator.integers(0, 256, predictor.batch_shape, dtype=np.uint8)
    other = tile.copy()
    kept = slice(halo, halo + 64)
    pixel = slice(halo, halo + STRIDE_PX)
    other[:, halo + STRIDE_PX + halo :] = generator.integers(0, 256, other[:, halo + STRIDE_PX + halo :].shape)
    before, after = (predictor.predict(image)["nuclei"] for image in (tile, other))
    np.testing.assert_array_equal(before[..., pixel, kept], after[..., pixel, kept])
    assert np.abs(before[..., kept, kept] - after[..., kept, kept]).max() > 0
    predictor.close()


def test_the_bundled_package_is_small_and_measured_on_real_data():
    package = resolve("nuclei")
    assert sum(file.size_bytes for file in package.manifest.files) < 5_000_000
    assert package.manifest.metrics
    assert not any(metric.synthetic for metric in package.manifest.metrics)
