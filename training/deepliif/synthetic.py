"""The paper's generator of IHC: hematoxylin in grey, DAPI and mask in, IHC out; with it, denser positive cells."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.deepliif.batches import Feed, to_tensor
from training.deepliif.config import MODALITIES, Config, TrainConfig
from training.deepliif.data import TRAIN, VAL, Progress, modality_share, read_prepared
from training.deepliif.losses import smooth_l1, translation_fooled, translation_told_apart
from training.deepliif.masks import Flags, Instances, Picture
from training.deepliif.networks import build_ihc_generator
from training.deepliif.panels import Panels
from training.deepliif.pictures import to_picture, write_samples
from training.deepliif.store import PictureSet, SetWriter, read_set
from training.deepliif.train import SYNTHETIC, rate_of
from training.loop.adversarial import AdversarialFitting, Made, fit_adversarial
from training.loop.config import digest_of

RUN, NET, JUDGE, MADE = "ihc-generator", "I", "DI", "ihc"
LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue, ITU-R BT.601."""
SAMPLES = 4
Nets = Mapping[str, nn.Module]
Batch = tuple[Tensor, ...]


def train_ihc_generator(config: Config, work_dir: Path) -> Path:
    """The folder of the generator's weights; an interrupted run goes on and ends alike.

    Raises
    ------
    ValueError
        No prepared picture has modalities.
    """
    prepared = read_prepared(config, work_dir)
    training = with_modalities(read_set(work_dir / TRAIN))
    torch.manual_seed(config.seed + 1)
    nets = build_ihc_generator(config.synthetic, config.nets)
    schedule = _schedule(config)
    feed = Feed((training,), MODALITIES, config.augment, config.seed + 1, schedule.batch, schedule.pictures)
    fitting = AdversarialFitting(
        name="IHC generator",
        folder=work_dir / RUN,
        digest=digest_of(config.digest(), *prepared.digests.values()),
        seed=config.seed + 1,
        epochs=schedule.epochs,
        threads=schedule.threads,
        device=config.device,
        rate=rate_of(schedule),
        betas=schedule.betas,
        batches=feed.epoch,
        batches_per_epoch=feed.batches_per_epoch,
        generators=(NET,),
        discriminators=(JUDGE,),
        generate=lambda nets, batch: _generate(schedule, nets, batch),
        discriminate=_discriminate,
        validate=_validator(config, schedule, work_dir),
    )
    return fit_adversarial(nets, fitting)


def write_synthetic(config: Config, work_dir: Path, progress: Progress) -> int:
    """How many pictures were made: one for each training picture with modalities, in the set `synthetic`.

    Part after part of `neg_to_pos` is gone through. Raises as `train_ihc_generator` does; FileNotFoundError where that
    did not run.
    """
    path = work_dir / RUN / "weights" / f"{NET}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path.name} in {path.parent}: the IHC generator was not trained")
    net = build_ihc_generator(config.synthetic, config.nets)[NET]
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    training = with_modalities(read_set(work_dir / TRAIN))
    parts = config.synthetic.neg_to_pos
    with SetWriter(work_dir / SYNTHETIC, training.side_px) as writer:
        for k, row in enumerate(training.rows):
            instances = np.asarray(training.instances[k])
            generator = np.random.default_rng((config.seed, k, 2))
            panels = turned_positive(training.panels(k), instances, parts[k % len(parts)], generator)
            made = replace(row, name=f"{row.name}-{round(100 * parts[k % len(parts)])}", synthetic=True)
            writer.add(made, replace(panels, ihc=drawn_ihc(net.eval(), panels)), instances)
            progress("synthetic IHC", k + 1, len(training))
    return len(training)


def turned_positive(panels: Panels, instances: Instances, part: float, generator: np.random.Generator) -> Panels:
    """The panels with that part of the negative cells, drawn at random, turned positive in mask and marker.

    The paper changes the mask and is silent on the marker. A turned cell's marker here is its DAPI, so that what the
    translator learns agrees with the mask.

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x: 50, 70 and 90 %.
    """
    turned = turned_cells(panels.seg, instances, part, generator)
    is_turned = np.concatenate([[False], turned])[instances]
    seg, marker = panels.seg.copy(), panels.marker.copy()
    blue = is_turned & (seg[..., 2] > 0)
    seg[blue] = (255, 0, 0)
    marker[is_turned] = np.maximum(marker, panels.dapi)[is_turned]
    return replace(panels, seg=seg, marker=marker)


def turned_cells(seg: Picture, instances: Instances, part: float, generator: np.random.Generator) -> Flags:
    """Of cells 1 to n, those that are turned: of the negative ones `part`, to the nearest whole number."""
    count = int(instances.max(initial=0))
    is_negative = np.zeros(count + 1, np.bool_)
    is_negative[np.unique(instances[seg[..., 2] > 0])] = True
    negative = np.flatnonzero(is_negative[1:])
    chosen = generator.permutation(negative)[: round(part * len(negative))]
    turned: Flags = np.isin(np.arange(count), chosen)
    return turned


def drawn_ihc(net: nn.Module, panels: Panels) -> Picture:
    """The IHC that the generator draws for these panels, uint8 (H, W, 3)."""
    parts = [to_tensor(panel[None]) for panel in (panels.hematoxylin, panels.dapi, panels.seg)]
    with torch.no_grad():
        return to_picture(net(_inputs(*parts))[0])


def with_modalities(pictures: PictureSet) -> PictureSet:
    """The pictures that have modalities; those that lie together stay on disk.

    Raises
    ------
    ValueError
        None has.
    """
    if not modality_share(pictures):
        raise ValueError("no picture has modalities to draw IHC from: use phantoms, or data.real.derived = true")
    picked: slice | NDArray[np.int64]
    kept = [k for k, row in enumerate(pictures.rows) if row.has_modalities]
    if kept == list(range(kept[0], kept[-1] + 1)):
        picked = slice(kept[0], kept[-1] + 1)
        rows = pictures.rows[picked]
    else:
        rows, picked = tuple(pictures.rows[k] for k in kept), np.array(kept)
    return PictureSet(pictures.side_px, rows, pictures.pictures[picked], pictures.instances[picked])


def _schedule(config: Config) -> TrainConfig:
    own = config.synthetic
    changed = {name: getattr(own, name) for name in ("constant_epochs", "decay_epochs", "pictures")}
    return config.train.model_copy(update=changed)


def _inputs(hematoxylin: Tensor, dapi: Tensor, mask: Tensor) -> Tensor:
    """(N, 7, H, W): grey hematoxylin, DAPI, mask."""
    grey = (hematoxylin * hematoxylin.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
    return torch.cat([grey, dapi, mask], 1)


def _given(batch: Batch) -> Tensor:
    _, modalities, mask, _ = batch
    return _inputs(modalities[:, :3], modalities[:, 3:6], mask)


def _generate(train: TrainConfig, nets: Nets, batch: Batch) -> Made:
    given = _given(batch)
    made = nets[NET](given)
    apart = smooth_l1(made, batch[0], train.smooth_l1)
    fooled = translation_fooled(nets[JUDGE](torch.cat([given, made], 1)))
    parts = {"ihc_l1": float(apart.detach()), "ihc_gan": float(fooled.detach())}
    return Made(train.adversarial * fooled + train.reconstruction * apart, parts, {MADE: made})


def _discriminate(nets: Nets, batch: Batch, made: Made) -> tuple[Tensor, dict[str, float]]:
    given = _given(batch)
    judge = nets[JUDGE]
    real, drawn = (judge(torch.cat([given, ihc], 1)) for ihc in (batch[0], made.images[MADE]))
    loss = translation_told_apart(real, drawn)
    return loss, {JUDGE: float(loss.detach())}


def _validator(config: Config, train: TrainConfig, work_dir: Path) -> Callable[[Nets, int], dict[str, float]]:
    held_out = Feed((with_modalities(read_set(work_dir / VAL)),), MODALITIES, config.augment, config.seed, 1)

    def validate(nets: Nets, epoch: int) -> dict[str, float]:
        device = next(nets[NET].parameters()).device
        losses, samples = [], []
        for index in range(min(len(held_out.sets[0]), 4 * SAMPLES)):
            batch = tuple(tensor.to(device) for tensor in held_out.batch_of([index]))
            made = _generate(train, nets, batch)
            losses.append(made.parts["ihc_l1"])
            if index < SAMPLES:
                samples.append((batch, made.images))
        write_samples(work_dir / RUN / "samples" / f"epoch-{epoch:03d}.png", samples)
        return {"val_ihc": sum(losses) / max(1, len(losses))}

    return validate
