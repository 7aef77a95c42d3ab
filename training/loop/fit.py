"""One training loop for all tasks: resumable, deterministic on a CPU, on one GPU or several where there are any.

Lightning's Fabric places the network and the batches, scales the loss of mixed precision and joins gradients of several
GPUs; the loop itself is plain torch.
"""

import csv
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from training.loop.config import DeviceConfig, LoopConfig, rate_at

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Batch = tuple[Tensor, Tensor]
State = dict[str, Tensor]
Tensors = TypeVar("Tensors", bound=tuple[Tensor, ...])


@dataclass(frozen=True)
class Fitting:
    """All that one training run is made of."""

    name: str
    """Shown beside the progress bar."""
    folder: Path
    """Takes `checkpoint.pt`, `weights.pt`, `log.csv` and TensorBoard's events."""
    digest: str
    """Of recipe and data: a checkpoint of another one is refused."""
    seed: int
    loop: LoopConfig
    device: DeviceConfig
    batches: Callable[[int], Iterable[Batch]]
    """The (inputs, targets) of an epoch, from 0; from seed and epoch alone, so that a resumed run ends alike."""
    batches_per_epoch: int
    loss: Callable[[Tensor, Tensor], Tensor]
    """Of the network's output and the targets."""
    validate: Callable[[nn.Module], dict[str, float]]
    """Numbers of an epoch, from the network in eval mode; every run logs the same names."""
    keep: str = ""
    """The validation number whose highest epoch is kept; the last epoch where empty."""


@dataclass
class _Progress:
    """What a checkpoint holds besides network and optimiser."""

    epoch: int = 0
    wall_s: float = 0.0
    best: float = -float("inf")
    best_epoch: int = -1
    best_state: State = field(default_factory=dict)


def fit(net: nn.Module, fitting: Fitting) -> Path:
    """The file of the kept weights (`weights.pt`, a state dict) after all epochs; goes on after an interruption.

    Raises
    ------
    ValueError
        The checkpoint belongs to another recipe or other data, or an epoch's batches are not as many as said.
    FloatingPointError
        The loss is no longer finite.
    """
    weights = fitting.folder / "weights.pt"
    fitting.folder.mkdir(parents=True, exist_ok=True)
    with reproducible(fitting.loop.threads):
        fabric = open_fabric(fitting.device)
        loop = fitting.loop
        optimiser = torch.optim.Adam(net.parameters(), lr=loop.rate, weight_decay=loop.weight_decay)
        model, stepper = fabric.setup(net, optimiser)
        progress = _load(fitting, net, optimiser)
        if progress.epoch < loop.epochs or not weights.exists():
            _run(fabric, (model, stepper, net), fitting, progress)
            if fabric.is_global_zero:
                replace_state(weights, progress.best_state)
        fabric.barrier()
    return weights


def load_weights(net: nn.Module, path: Path) -> nn.Module:
    """The network with these weights, in eval mode. Tensors only are read, never pickled code."""
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


def open_fabric(device: DeviceConfig) -> "Fabric":
    """Fabric on the asked hardware.

    Raises
    ------
    ValueError
        A GPU was asked for and there is none: nobody trains on a CPU unknowingly.
    """
    from lightning_fabric import Fabric

    has_gpu = torch.cuda.is_available()
    if device.accelerator == "gpu" and not has_gpu:
        raise ValueError("a GPU was asked for and torch sees none: set accelerator to auto or cpu")
    on_gpu = has_gpu and device.accelerator != "cpu"
    precision: Any = device.precision if device.precision != "auto" else "16-mixed" if on_gpu else "32-true"
    count: Any = device.devices if on_gpu or device.devices != "auto" else 1
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu", devices=count, precision="32-true" if precision == "32" else precision
    )
    if fabric.world_size > 1:
        fabric.launch()
    return fabric


def _run(fabric: "Fabric", parts: tuple[Any, Any, nn.Module], fitting: Fitting, progress: _Progress) -> None:
    model, optimiser, net = parts
    loop, console = fitting.loop, Console(stderr=True)
    with (
        Progress(console=console, disable=not fabric.is_global_zero) as bars,
        epoch_log(fitting.folder, fabric) as tell,
    ):
        steps = fitting.batches_per_epoch // fabric.world_size
        bar = bars.add_task(fitting.name, total=loop.epochs * steps, completed=progress.epoch * steps)
        while progress.epoch < loop.epochs:
            start = time.perf_counter()
            losses = []
            torch.manual_seed(fitting.seed * 1_000_003 + progress.epoch)
            model.train()
            batches = own_batches(fabric, fitting.batches(progress.epoch), fitting.batches_per_epoch)
            for step, batch in enumerate(batches):
                for group in optimiser.param_groups:
                    group["lr"] = rate_at(loop, progress.epoch + step / steps)
                inputs, targets = fabric.to_device(batch)
                optimiser.zero_grad()
                value = fitting.loss(model(inputs), targets)
                fabric.backward(value)
                optimiser.step()
                losses.append(float(value.detach()))
                bars.update(bar, advance=1, description=f"{fitting.name} loss {losses[-1]:.3f}")
            _check_epoch(fabric, fitting, losses)
            progress.epoch += 1
            _end_epoch(fitting, (net, optimiser, losses, start), progress, tell)


def own_batches(fabric: "Fabric", batches: Iterable[Tensors], count: int) -> Iterator[Tensors]:
    """The share of an epoch's batches that falls to this process: every process does as many steps as the others."""
    world, rank = fabric.world_size, fabric.global_rank
    whole = count // world * world
    for index, batch in enumerate(batches):
        if index < whole and index % world == rank:
            yield batch


def _check_epoch(fabric: "Fabric", fitting: Fitting, losses: list[float]) -> None:
    if len(losses) != fitting.batches_per_epoch // fabric.world_size:
        raise ValueError(f"{fitting.name}: an epoch had {len(losses)} batches and not {fitting.batches_per_epoch}")
    if not all(map(_is_finite, losses)):
        raise FloatingPointError(f"{fitting.name}: the loss is not finite any more: lower the rate or look at the data")


def _end_epoch(
    fitting: Fitting, run: tuple[nn.Module, Any, list[float], float], progress: _Progress, tell: Callable[..., None]
) -> None:
    """Validate, keep what is best, checkpoint, tell."""
    net, optimiser, losses, start = run
    net.eval()
    with torch.no_grad():
        numbers = fitting.validate(net)
    value = numbers[fitting.keep] if fitting.keep else float(progress.epoch)
    if value > progress.best or not progress.best_state:
        progress.best, progress.best_epoch = value, progress.epoch
        progress.best_state = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    progress.wall_s += time.perf_counter() - start
    row = {
        "epoch": progress.epoch,
        "loss": sum(losses) / len(losses),
        "rate": optimiser.param_groups[0]["lr"],
        "wall_s": progress.wall_s,
    }
    tell(row | numbers, lambda: _save(fitting, net, optimiser, progress))


def _save(fitting: Fitting, net: nn.Module, optimiser: torch.optim.Optimizer, progress: _Progress) -> None:
    state = {
        "digest": fitting.digest,
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
        "epoch": progress.epoch,
        "wall_s": progress.wall_s,
        "best": progress.best,
        "best_epoch": progress.best_epoch,
        "best_state": progress.best_state,
    }
    replace_state(fitting.folder / "checkpoint.pt", state)


def _load(fitting: Fitting, net: nn.Module, optimiser: torch.optim.Optimizer) -> _Progress:
    path = fitting.folder / "checkpoint.pt"
    if not path.exists():
        return _Progress()
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["digest"] != fitting.digest:
        raise ValueError(f"{path} was made with another recipe or other data: use another work folder")
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    return _Progress(state["epoch"], state["wall_s"], state["best"], state["best_epoch"], state["best_state"])


def replace_state(path: Path, state: dict[str, Any]) -> None:
    """Written beside, synced, renamed: a kill leaves the old file or the new one."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@contextmanager
def epoch_log(folder: Path, fabric: "Fabric") -> Iterator[Callable[..., None]]:
    """A function that writes an epoch's numbers to `log.csv` and for TensorBoard, then saves the checkpoint."""
    from tensorboardX import SummaryWriter

    if not fabric.is_global_zero:
        yield lambda _row, _save: None
        return
    writer = SummaryWriter(str(folder / "events"))

    def tell(row: dict[str, float], save: Callable[[], None]) -> None:
        _write_line(folder / "log.csv", row)
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["epoch"]))
        save()

    try:
        yield tell
    finally:
        writer.close()


def _write_line(path: Path, row: dict[str, float]) -> None:
    """One line an epoch; an epoch that is run again after a kill replaces what was told of it."""
    told: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            told = [line for line in csv.DictReader(file) if int(line["epoch"]) < row["epoch"]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows(told)
        writer.writerow({name: value if name == "epoch" else f"{value:.6g}" for name, value in row.items()})


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Torch set to give the same numbers again, and set back afterwards."""
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(before)


def _is_finite(value: float) -> bool:
    return value - value == 0
