"""Training: translators and segmenters at once against their discriminators, or one group of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.deepliif.batches import Feed
from training.deepliif.config import Config, NetsConfig, TrainConfig, mask_weights
from training.deepliif.data import TRAIN, VAL, modality_share, read_prepared
from training.deepliif.losses import (
    segmentation_fooled,
    segmentation_told_apart,
    smooth_l1,
    translation_fooled,
    translation_told_apart,
)
from training.deepliif.networks import (
    ALL_TO_ONE,
    build_discriminators,
    build_generators,
    segmenter_names,
    translator_names,
)
from training.deepliif.pictures import write_samples
from training.deepliif.store import PictureSet, read_set, set_digest
from training.loop.adversarial import AdversarialFitting, Made, fit_adversarial
from training.loop.config import digest_of

RUN, SYNTHETIC = "networks", "synthetic"
MASK = "mask"
MOST_VALIDATED, SAMPLES = 24, 4
Nets = Mapping[str, nn.Module]
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Recipe:
    """What one step needs to know."""

    nets: NetsConfig
    train: TrainConfig

    @property
    def translators(self) -> tuple[str, ...]:
        """Those that are trained."""
        return () if self.train.stage == "segmenters" else translator_names(self.nets)

    @property
    def segmenters(self) -> tuple[str, ...]:
        """Those that are trained."""
        return () if self.train.stage == "translators" else segmenter_names(self.nets)

    def l1(self, made: Tensor, real: Tensor) -> Tensor:
        """Smooth L1 as the recipe bends it."""
        return smooth_l1(made, real, self.train.smooth_l1)


def train(config: Config, work_dir: Path, translators: Path | None = None) -> Path:
    """The folder of the weights, a state dict for each network; an interrupted run goes on and ends alike.

    Parameters
    ----------
    translators
        A folder of `<name>.pt` of another run, which the translators start from. Needed by the stage `segmenters`,
        which leaves them as they are.

    Raises
    ------
    FileNotFoundError
        `prepare` was not run, or a translator is not there.
    ValueError
        The checkpoint belongs to another recipe or other data; or translators are to be trained on pictures without
        modalities.
    """
    prepared = read_prepared(config, work_dir)
    sets = training_sets(config, work_dir)
    recipe = Recipe(config.nets, config.train)
    if recipe.translators and not any(modality_share(s) for s in sets):
        raise ValueError("no picture has modalities for the translators: use phantoms, or data.real.derived = true")
    torch.manual_seed(config.seed)
    nets = build_generators(config.nets) | build_discriminators(config.nets)
    given = start_translators(recipe, nets, translators)
    feed = Feed(sets, config.nets.modalities, config.augment, config.seed, config.train.batch, config.train.pictures)
    generators = (*recipe.translators, *recipe.segmenters)
    fitting = AdversarialFitting(
        name="deepliif",
        folder=work_dir / RUN,
        digest=digest_of(config.digest(), *prepared.digests.values(), *_synthetic_digest(config, work_dir), given),
        seed=config.seed,
        epochs=config.train.epochs,
        threads=config.train.threads,
        device=config.device,
        rate=rate_of(config.train),
        betas=config.train.betas,
        batches=feed.epoch,
        batches_per_epoch=feed.batches_per_epoch,
        generators=generators,
        discriminators=tuple(f"D{name}" for name in generators),
        generate=lambda nets, batch: generate(recipe, nets, batch),
        discriminate=lambda nets, batch, made: discriminate(recipe, nets, batch, made),
        validate=_validator(recipe, config, work_dir),
    )
    weights = fit_adversarial(nets, fitting)
    if recipe.train.stage == "segmenters":
        # Whoever uses the segmenters needs the translators that they were trained behind.
        for name in translator_names(config.nets):
            torch.save(nets[name].state_dict(), weights / f"{name}.pt")
    return weights


def rate_of(train: TrainConfig) -> Callable[[int], float]:
    """The learning rate after so many epochs: constant, then linear to zero at the end of the last.

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x: 2e-4 for 100 epochs, to zero over the next 100.
    """

    def rate(epochs_done: int) -> float:
        fallen = max(0, epochs_done - train.constant_epochs) / max(1, train.decay_epochs)
        return train.rate * max(0.0, 1 - fallen)

    return rate


def translate(recipe: Recipe, nets: Nets, ihc: Tensor) -> dict[str, Tensor]:
    """What every translator makes of the IHC; without gradients where translators are not trained."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and bool(recipe.translators)):
        return {name: nets[name](ihc) for name in translator_names(recipe.nets)}


def segment(recipe: Recipe, nets: Nets, ihc: Tensor, stains: Mapping[str, Tensor]) -> Tensor:
    """The weighted mask of IHC and stains, or the mask that one segmenter makes of all."""
    if recipe.nets.many_to_one:
        whole: Tensor = nets[ALL_TO_ONE](torch.cat([ihc, *stains.values()], 1))
        return whole
    masks = [nets[n](z) for n, z in zip(segmenter_names(recipe.nets), (ihc, *stains.values()), strict=True)]
    terms = [weight * mask for weight, mask in zip(mask_weights(recipe.nets), masks, strict=True)]
    return torch.stack(terms).sum(0)


def generate(recipe: Recipe, nets: Nets, batch: Batch) -> Made:
    """The generators' loss of a batch and what they made of it: formulas (4), (6) and (7).

    Where a picture has no modalities, its translations are inputs of the segmenters, and nothing flows back to them.
    """
    ihc, modalities, mask, has = batch
    train = recipe.train
    stains = translate(recipe, nets, ihc)
    parts: dict[str, float] = {}
    loss = ihc.new_zeros(())
    for k, name in enumerate(recipe.translators):
        own, real = stains[name][has], modalities[:, 3 * k : 3 * k + 3][has]
        apart = recipe.l1(own, real) if len(own) else own.sum()
        fooled = _fooled(recipe, nets[f"D{name}"], (ihc[has], own), translation_fooled)
        loss = loss + train.adversarial * fooled + train.reconstruction * apart
        parts |= {f"{name}_l1": float(apart.detach()), f"{name}_gan": float(fooled.detach())}
    images = dict(stains)
    if recipe.segmenters:
        seen = {n: torch.where(has[:, None, None, None], s, s.detach()) for n, s in stains.items()}
        drawn = segment(recipe, nets, ihc, seen)
        apart = recipe.l1(drawn, mask)
        fooled = ihc.new_zeros(())
        for name, source in _sources(recipe, ihc, seen).items():
            fooled = fooled + _fooled(recipe, nets[f"D{name}"], (source, drawn), segmentation_fooled)
        loss = loss + train.adversarial * fooled + train.reconstruction * apart
        parts |= {"mask_l1": float(apart.detach()), "mask_gan": float(fooled.detach())}
        images[MASK] = drawn
    return Made(loss, parts, images)


def discriminate(recipe: Recipe, nets: Nets, batch: Batch, made: Made) -> tuple[Tensor, dict[str, float]]:
    """The discriminators' loss on real pictures and on what was made: formulas (1) and (5)."""
    ihc, modalities, mask, has = batch
    stains = {name: made.images[name] for name in translator_names(recipe.nets)}
    loss, parts = ihc.new_zeros(()), {}
    for k, name in enumerate(recipe.translators):
        value = ihc.new_zeros(())
        if has.any():
            net = nets[f"D{name}"]
            of_real = net(torch.cat([ihc, modalities[:, 3 * k : 3 * k + 3]], 1)[has])
            value = translation_told_apart(of_real, net(torch.cat([ihc, stains[name]], 1)[has]))
        loss, parts[f"D{name}"] = loss + value, float(value.detach())
    for name, source in _sources(recipe, ihc, stains).items() if recipe.segmenters else ():
        net = nets[f"D{name}"]
        of_real, of_made = net(torch.cat([source, mask], 1)), net(torch.cat([source, made.images[MASK]], 1))
        value = segmentation_told_apart(of_real, of_made)
        loss, parts[f"D{name}"] = loss + value, float(value.detach())
    # A batch without modalities, of translators alone, has nothing to learn from: a loss without a way back is refused.
    return (loss if loss.requires_grad else loss + sum(w.sum() * 0 for n in parts for w in nets[n].parameters())), parts


def training_sets(config: Config, work_dir: Path) -> tuple[PictureSet, ...]:
    """The prepared pictures, and those of the IHC generator where the recipe wants them."""
    sets = [read_set(work_dir / TRAIN)]
    if config.synthetic.use:
        sets.append(read_set(work_dir / SYNTHETIC))
    return tuple(sets)


def start_translators(recipe: Recipe, nets: Nets, folder: Path | None) -> str:
    """The digest of the weights that the translators start from, once they are loaded; `drawn` where none are given.

    Raises
    ------
    FileNotFoundError
        A translator's file is missing.
    ValueError
        The stage needs translators and no folder was given.
    """
    if folder is None:
        if recipe.train.stage == "segmenters" and recipe.nets.modalities:
            raise ValueError("the stage segmenters learns from given translators: name their folder with --translators")
        return "drawn"
    digests = []
    for name in translator_names(recipe.nets):
        path = folder / f"{name}.pt"
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path.name} in {folder}: give the weights of a run of this recipe")
        nets[name].load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        digests.append(path.read_bytes().hex())
    return digest_of(*digests)


def load_generators(config: Config, folder: Path) -> dict[str, nn.Module]:
    """The trained generators, in eval mode.

    Raises
    ------
    FileNotFoundError
        The run has not ended.
    """
    nets = build_generators(config.nets)
    for name, net in nets.items():
        path = folder / f"{name}.pt"
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no {path.name} in {folder}: run `train`, and the segmenters after a run of translators alone"
            )
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        net.eval().requires_grad_(False)
    return nets


def _fooled(recipe: Recipe, judge: nn.Module, pair: tuple[Tensor, Tensor], loss: Callable[[Tensor], Tensor]) -> Tensor:
    """What a discriminator's answer costs the generator; zero where it has no say or nothing to look at."""
    if not recipe.train.adversarial or not len(pair[1]):
        return pair[1].new_zeros(())
    return loss(judge(torch.cat(pair, 1)))


def _sources(recipe: Recipe, ihc: Tensor, stains: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What each segmenter takes, which its discriminator sees beside the mask; stains are not taught through it."""
    fixed = [stain.detach() for stain in stains.values()]
    if recipe.nets.many_to_one:
        return {ALL_TO_ONE: torch.cat([ihc, *fixed], 1)}
    return dict(zip(segmenter_names(recipe.nets), (ihc, *fixed), strict=True))


def _validator(recipe: Recipe, config: Config, work_dir: Path) -> Callable[[Nets, int], dict[str, float]]:
    """Smooth L1 on the validation's pictures, with some of them drawn after each epoch."""
    held_out = Feed((read_set(work_dir / VAL),), config.nets.modalities, config.augment, config.seed, 1)
    count = len(held_out.sets[0])
    chosen = torch.linspace(0, count - 1, min(count, MOST_VALIDATED)).round().int().tolist() if count else []
    names = (*recipe.translators, *((MASK,) if recipe.segmenters else ()))
    shown = set(chosen[:: max(1, len(chosen) // SAMPLES)][:SAMPLES])

    def validate(nets: Nets, epoch: int) -> dict[str, float]:
        device = next(nets[segmenter_names(recipe.nets)[0]].parameters()).device
        found: dict[str, list[float]] = {name: [] for name in names}
        samples = []
        for index in chosen:
            batch = tuple(tensor.to(device) for tensor in held_out.batch_of([index]))
            made = generate(recipe, nets, batch)
            for name, values in found.items():
                if name == MASK or bool(batch[3].all()):
                    values.append(made.parts[f"{name}_l1"])
            if index in shown:
                samples.append((batch, made.images))
        write_samples(work_dir / RUN / "samples" / f"epoch-{epoch:03d}.png", samples)
        return {f"val_{name}": sum(values) / max(1, len(values)) for name, values in found.items()}

    return validate


def _synthetic_digest(config: Config, work_dir: Path) -> tuple[str, ...]:
    return (set_digest(work_dir / SYNTHETIC),) if config.synthetic.use else ()
