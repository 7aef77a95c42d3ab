"""The training loop of generators against discriminators: resumable and deterministic as the plain loop.

A step trains the generators first, then the discriminators on the images that were made before the generators moved.
"""

import math
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from training.loop.config import DeviceConfig
from training.loop.fit import epoch_log, open_fabric, own_batches, replace_state, reproducible

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Nets = Mapping[str, nn.Module]
Batch = tuple[Tensor, ...]
Parts = dict[str, float]


@dataclass(frozen=True)
class Made:
    """What the generators made of a batch."""

    loss: Tensor
    """A number whose gradient trains the generators."""
    parts: Parts
    """The terms of the loss, for the log; every step names the same."""
    images: dict[str, Tensor]
    """What the discriminators are shown; they get it detached."""

    def detached(self) -> "Made":
        """The same, with no way back to the generators."""
        return Made(self.loss.detach(), self.parts, {name: image.detach() for name, image in self.images.items()})


@dataclass(frozen=True)
class AdversarialFitting:
    """All that one adversarial training run is made of."""

    name: str
    """Shown beside the progress bar."""
    folder: Path
    """Takes `checkpoint.pt`, `weights/`, `log.csv` and TensorBoard's events."""
    digest: str
    """Of recipe and data: a checkpoint of another one is refused."""
    seed: int
    epochs: int
    threads: int
    """Of torch."""
    device: DeviceConfig
    rate: Callable[[int], float]
    """The learning rate of both optimisers, from the epochs done."""
    betas: tuple[float, float]
    """Of both Adams."""
    batches: Callable[[int], Iterable[Batch]]
    """An epoch's batches, from 0; from seed and epoch alone. It is called once at each epoch's start."""
    batches_per_epoch: int
    generators: tuple[str, ...]
    """Names among the networks: one Adam for all of them."""
    discriminators: tuple[str, ...]
    """Names among the networks: one Adam for all of them."""
    generate: Callable[[Nets, Batch], Made]
    discriminate: Callable[[Nets, Batch, Made], tuple[Tensor, Parts]]
    """The discriminators' loss and its terms, on images that are detached."""
    validate: Callable[[Nets, int], Parts]
    """Numbers after so many epochs, from networks in eval mode; it may write sample pictures."""


@dataclass
class _Run:
    """The state of a run, all of which a checkpoint holds."""

    nets: dict[str, nn.Module]
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    epoch: int = 0
    wall_s: float = 0.0


def fit_adversarial(nets: Nets, fitting: AdversarialFitting) -> Path:
    """The folder with the last epoch's weights, `<name>.pt` for each network; goes on after an interruption.

    Parameters
    ----------
    nets
        Generators and discriminators by name, with their first weights: from a seed, so that several processes start
        alike. Others (a fixed network of a loss) are neither trained nor saved.
    fitting
        The recipe.

    Raises
    ------
    ValueError
        The checkpoint belongs to another recipe or other data, or an epoch's batches are not as many as said.
    FloatingPointError
        A loss is no longer finite.
    """
    fitting.folder.mkdir(parents=True, exist_ok=True)
    with reproducible(fitting.threads):
        fabric = open_fabric(fitting.device)
        run = _Run({name: net.to(fabric.device) for name, net in nets.items()}, _optimisers(nets, fitting))
        _load(fitting, run)
        if run.epoch < fitting.epochs:
            _train(fabric, fitting, run)
        if fabric.is_global_zero:
            weights = _write_weights(fitting, run)
        fabric.barrier()
    return weights if fabric.is_global_zero else fitting.folder / "weights"


def _optimisers(nets: Nets, fitting: AdversarialFitting) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """One Adam for all generators and one for all discriminators."""
    groups = (fitting.generators, fitting.discriminators)
    weights = [[weight for name in group for weight in nets[name].parameters()] for group in groups]
    first, second = (torch.optim.Adam(of_group, lr=fitting.rate(0), betas=fitting.betas) for of_group in weights)
    return first, second


def _train(fabric: "Fabric", fitting: AdversarialFitting, run: _Run) -> None:
    steps = fitting.batches_per_epoch // fabric.world_size
    steppers = tuple(fabric.setup_optimizers(optimiser) for optimiser in run.optimisers)
    with (
        Progress(console=Console(stderr=True), disable=not fabric.is_global_zero) as bars,
        epoch_log(fitting.folder, fabric) as tell,
    ):
        bar = bars.add_task(fitting.name, total=fitting.epochs * steps, completed=run.epoch * steps)
        while run.epoch < fitting.epochs:
            start = time.perf_counter()
            torch.manual_seed(fitting.seed * 1_000_003 + run.epoch)
            rate = _set_rate(fitting, run)
            for net in run.nets.values():
                net.train()
            told: list[Parts] = []
            for batch in own_batches(fabric, fitting.batches(run.epoch), fitting.batches_per_epoch):
                told.append(_step(fabric, fitting, (run.nets, steppers), fabric.to_device(batch)))
                bars.update(bar, advance=1, description=_shown(fitting.name, told[-1]))
            if len(told) != steps:
                raise ValueError(f"{fitting.name}: an epoch had {len(told)} batches and not {steps}")
            run.epoch += 1
            numbers = _means(told) | {"rate": rate} | _validated(fitting, run)
            run.wall_s += time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            row = {"epoch": run.epoch, "wall_s": run.wall_s, "peak_bytes": peak} | numbers
            tell(row, lambda: _save(fitting, run))


def _step(
    fabric: "Fabric",
    fitting: AdversarialFitting,
    parts: tuple[dict[str, nn.Module], tuple[Any, ...]],
    batch: Batch,
) -> Parts:
    """One step of the generators, then one of the discriminators; the terms of both losses."""
    nets, (of_generators, of_discriminators) = parts
    _only_train(nets, fitting.generators)
    with fabric.autocast():
        made = fitting.generate(nets, batch)
    _descend(fabric, fitting, of_generators, made.loss)
    _only_train(nets, fitting.discriminators)
    with fabric.autocast():
        loss, terms = fitting.discriminate(nets, batch, made.detached())
    _descend(fabric, fitting, of_discriminators, loss)
    return {"generators": float(made.loss.detach()), "discriminators": float(loss.detach())} | made.parts | terms


def _only_train(nets: dict[str, nn.Module], names: tuple[str, ...]) -> None:
    """Gradients gather in these networks only; through the others they pass."""
    for name, net in nets.items():
        net.requires_grad_(name in names)


def _descend(fabric: "Fabric", fitting: AdversarialFitting, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the loss; the gradients of several processes are averaged by hand.

    DistributedDataParallel would wait for the gradients of networks that stand still in this half of the step.
    """
    if not math.isfinite(float(loss.detach())):
        raise FloatingPointError(f"{fitting.name}: a loss is not finite any more: lower the rate or look at the data")
    optimiser.zero_grad()
    fabric.backward(loss)
    if fabric.world_size > 1:
        for group in optimiser.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.grad = fabric.all_reduce(weight.grad, reduce_op="mean")
    optimiser.step()


def _set_rate(fitting: AdversarialFitting, run: _Run) -> float:
    rate = fitting.rate(run.epoch)
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate
    return rate


def _validated(fitting: AdversarialFitting, run: _Run) -> Parts:
    for net in run.nets.values():
        net.eval()
    with torch.no_grad():
        return fitting.validate(run.nets, run.epoch)


def _means(told: list[Parts]) -> Parts:
    return {name: sum(parts[name] for parts in told) / len(told) for name in told[0]}


def _shown(name: str, parts: Parts) -> str:
    return f"{name} G {parts['generators']:.3f} D {parts['discriminators']:.3f}"


def _trained_names(fitting: AdversarialFitting) -> tuple[str, ...]:
    return fitting.generators + fitting.discriminators


def _save(fitting: AdversarialFitting, run: _Run) -> None:
    state = {
        "digest": fitting.digest,
        "nets": {name: run.nets[name].state_dict() for name in _trained_names(fitting)},
        "optimisers": [optimiser.state_dict() for optimiser in run.optimisers],
        "epoch": run.epoch,
        "wall_s": run.wall_s,
    }
    replace_state(fitting.folder / "checkpoint.pt", state)


def _load(fitting: AdversarialFitting, run: _Run) -> None:
    path = fitting.folder / "checkpoint.pt"
    if not path.exists():
        return
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["digest"] != fitting.digest:
        raise ValueError(f"{path} was made with another recipe or other data: use another work folder")
    for name in _trained_names(fitting):
        run.nets[name].load_state_dict(state["nets"][name])
    for optimiser, values in zip(run.optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(values)
    run.epoch, run.wall_s = state["epoch"], state["wall_s"]


def _write_weights(fitting: AdversarialFitting, run: _Run) -> Path:
    folder = fitting.folder / "weights"
    folder.mkdir(exist_ok=True)
    for name in _trained_names(fitting):
        state = {key: value.detach().cpu() for key, value in run.nets[name].state_dict().items()}
        replace_state(folder / f"{name}.pt", state)
    return folder
