"""Random views: reproducible, in range, and with the nuclei where the pixels say."""

import numpy as np
import torch

from tests.unit.training.recipe import small_config, small_prepared
from training.nuclei.augment import Pool, draw_batch, recolour

CONFIG = small_config()


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def batch(seed, **sampling):
    pool = Pool.of(list(small_prepared().samples))
    wanted = CONFIG.sampling.model_copy(update=sampling)
    return draw_batch(pool, wanted, CONFIG.augment, seeded(seed))


def test_the_generator_fixes_the_batch():
    for first, second in zip(batch(7), batch(7), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(batch(7)[0], batch(8)[0])


def test_patches_have_the_asked_shape_and_range():
    images, instances = batch(1, patch_px=40, batch=5)
    assert images.shape == (5, 3, 40, 40)
    assert instances.shape == (5, 1, 40, 40)
    assert images.min() >= 0
    assert images.max() <= 1


def test_instance_numbers_are_never_mixed():
    assert set(batch(3, batch=16)[1].unique().tolist()) <= {0.0, 1.0, 2.0}


def test_nuclei_stay_dark_under_every_change():
    images, instances = batch(5, batch=24, he=1.0, stained=1.0, blank=0.0)
    inside = instances[:, 0] > 0
    darker = [
        (image.mean(0)[~mask].mean() > image.mean(0)[mask].mean()).item()
        for image, mask in zip(images, inside, strict=True)
        if mask.any() and not mask.all()
    ]
    assert np.mean(darker) > 0.9


def test_blank_patches_carry_no_nucleus():
    assert not batch(2, he=0.0, stained=0.0, blank=1.0)[1].any()


def test_eosin_is_painted_on_purple_images_only():
    images = torch.full((16, 3, 32, 32), 0.8)
    still = CONFIG.augment.model_copy(
        update={
            "stain_alpha": 0.0,
            "stain_beta": 0.0,
            "vector_jitter": 0.0,
            "eosin_share": 1.0,
            "gain": 0.0,
            "noise": 0.0,
        }
    )
    purple = torch.arange(16) < 8
    changed = recolour(images, torch.zeros(16, 1, 32, 32), purple, still, seeded(4))
    spread = changed.flatten(2).std(2).amax(1)
    assert spread[:8].median() > 0.01
    assert spread[8:].max() < 1e-5
