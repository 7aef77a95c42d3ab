"""Training: two generators and two discriminators, on tiles that are no pairs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from training.loop.adversarial import AdversarialFitting, Made, Nets, Parts, fit_adversarial
from training.loop.config import digest_of
from training.loop.fit import load_weights
from training.virtual_ihc.batches import ImagePool, batch_count, draw_batches
from training.virtual_ihc.config import HE, KI67, Config
from training.virtual_ihc.data import TRAIN, read_tiles
from training.virtual_ihc.losses import cycle_loss, fooling_loss, judging_loss, structure_loss
from training.virtual_ihc.networks import Generator, PatchDiscriminator
from training.virtual_ihc.validate import check_tiles, measure_epoch

RUN = "run"
TO_KI67, TO_HE = "he-to-ki67", "ki67-to-he"
JUDGE_KI67, JUDGE_HE = "judge-ki67", "judge-he"
POOL_SEED = 1_000_003


def train(config: Config, work_dir: Path) -> Path:
    """The folder with the weights of the last epoch; an interrupted run goes on and ends with the same weights.

    Raises
    ------
    FileNotFoundError
        `prepare` was not run.
    ValueError
        A checkpoint belongs to another recipe or other data.
    """
    tiles = {stain: read_tiles(config, work_dir, TRAIN, stain) for stain in (HE, KI67)}
    check = check_tiles(config, work_dir)
    pools = {HE: ImagePool(0, 0), KI67: ImagePool(0, 0)}
    folder = work_dir / RUN

    def batches(epoch: int) -> Iterator[tuple[Tensor, ...]]:
        # Emptied at each epoch's start, so that a run that goes on shows the same images again.
        for number, stain in enumerate(pools):
            pools[stain] = ImagePool(config.loss.pool, (config.seed * POOL_SEED + epoch) * 2 + number)
        return draw_batches(config, tiles[HE], tiles[KI67], epoch)

    fitting = AdversarialFitting(
        name=config.variant(),
        folder=folder,
        digest=digest_of(config.digest(), tiles[HE].digest(), tiles[KI67].digest()),
        seed=config.seed,
        epochs=config.fit.epochs,
        threads=config.fit.threads,
        device=config.device,
        rate=config.rate,
        betas=config.fit.betas,
        batches=batches,
        batches_per_epoch=batch_count(config, tiles[HE], tiles[KI67]),
        generators=(TO_KI67, TO_HE),
        discriminators=(JUDGE_KI67, JUDGE_HE),
        generate=lambda nets, batch: generate(nets, batch, config),
        discriminate=lambda nets, batch, made: discriminate(nets, batch, made, config, pools),
        validate=lambda nets, epoch: measure_epoch(
            (nets[TO_KI67], nets[TO_HE]), check, folder / "pictures" / f"epoch-{epoch:03d}.png"
        ),
    )
    return fit_adversarial(networks(config), fitting)


def networks(config: Config) -> dict[str, nn.Module]:
    """Generators and discriminators with their first weights, from the recipe's seed."""
    torch.manual_seed(config.seed)
    nets: dict[str, nn.Module] = {name: Generator(config.net) for name in (TO_KI67, TO_HE)}
    return nets | {name: PatchDiscriminator(config.net.judge_widths) for name in (JUDGE_KI67, JUDGE_HE)}


def generate(nets: Nets, batch: tuple[Tensor, ...], config: Config) -> Made:
    """The paper's overall loss of the generators, on a batch (H&E, Ki-67), and what they made."""
    he, ki67 = batch
    made_ki67, made_he = nets[TO_KI67](he), nets[TO_HE](ki67)
    back_he, back_ki67 = nets[TO_HE](made_ki67), nets[TO_KI67](made_he)
    loss = config.loss
    fooled = fooling_loss(nets[JUDGE_KI67](made_ki67), loss.adversarial)
    fooled = fooled + fooling_loss(nets[JUDGE_HE](made_he), loss.adversarial)
    cycle = cycle_loss(back_he, he) + cycle_loss(back_ki67, ki67)
    total = fooled + loss.cycle * cycle
    parts = {"fooled": float(fooled.detach()), "cycle": float(cycle.detach())}
    if loss.use_ssim:
        structure = structure_loss(back_he, he, loss.window_px) + structure_loss(back_ki67, ki67, loss.window_px)
        total = total + loss.structure * structure
        parts["structure"] = float(structure.detach())
    return Made(total, parts, {KI67: made_ki67, HE: made_he})


def discriminate(
    nets: Nets, batch: tuple[Tensor, ...], made: Made, config: Config, pools: Mapping[str, ImagePool]
) -> tuple[Tensor, Parts]:
    """How often the discriminators err, on real images of a batch and on made ones."""
    real = dict(zip((HE, KI67), batch, strict=True))
    judges = {HE: JUDGE_HE, KI67: JUDGE_KI67}
    losses = {
        stain: judging_loss(
            nets[judge](real[stain]), nets[judge](pools[stain].swapped(made.images[stain])), config.loss.adversarial
        )
        for stain, judge in judges.items()
    }
    return losses[HE] + losses[KI67], {f"judge_{stain}": float(loss.detach()) for stain, loss in losses.items()}


def trained(config: Config, work_dir: Path, name: str = TO_KI67) -> Generator:
    """A generator of the finished run, in eval mode.

    Raises
    ------
    FileNotFoundError
        The run has not ended.
    """
    path = weights_path(work_dir, name)
    if not path.exists():
        raise FileNotFoundError(f"the run has not ended: there is no {path.name}; run `train`")
    net = Generator(config.net)
    load_weights(net, path)
    return net.requires_grad_(False)


def weights_path(work_dir: Path, name: str = TO_KI67) -> Path:
    """The file of a network's weights."""
    return work_dir / RUN / "weights" / f"{name}.pt"
