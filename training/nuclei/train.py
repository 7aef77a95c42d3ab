"""The training loop: resumable, deterministic on a CPU, one CSV line per hundred steps."""

import csv
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from training.nuclei.augment import Pool, draw_batch
from training.nuclei.config import Config, TrainConfig
from training.nuclei.data import Prepared
from training.nuclei.network import NucleiNet
from training.nuclei.targets import loss

LOG_FIELDS = ("step", "loss", "rate", "wall_s")


@dataclass(frozen=True)
class Run:
    """Where one training run keeps its files: `fold-0`, ... or `final`."""

    folder: Path

    @staticmethod
    def of(work_dir: Path, fold: int | None) -> "Run":
        """The run that holds `fold` out, or the one that trains on everything."""
        return Run(work_dir / ("final" if fold is None else f"fold-{fold}"))

    @property
    def checkpoint(self) -> Path:
        """State after the last multiple of `checkpoint_every` steps."""
        return self.folder / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The averaged weights of a finished run."""
        return self.folder / "weights.pt"

    @property
    def log(self) -> Path:
        """The CSV log."""
        return self.folder / "log.csv"


def train(prepared: Prepared, config: Config, work_dir: Path, fold: int | None) -> Path:
    """The file of averaged weights of a run over all steps; picks up where an interrupted one stopped.

    The batch of a step depends on the seed and the step's number alone, so a resumed run gives the same weights.

    Raises
    ------
    ValueError
        The checkpoint belongs to another recipe.
    """
    run = Run.of(work_dir, fold)
    run.folder.mkdir(parents=True, exist_ok=True)
    steps = config.train.steps if fold is None else config.train.fold_steps
    pool = Pool.of(prepared.part(fold, held_out=False))
    with _reproducible(config), Progress(console=Console(stderr=True)) as progress:
        state = _State(config, run)
        bar = progress.add_task(run.folder.name, total=steps, completed=state.step)
        while state.step < steps:
            state.advance(pool, steps)
            progress.update(bar, completed=state.step, description=f"{run.folder.name} loss {state.smooth:.3f}")
            if state.step % config.train.checkpoint_every == 0 or state.step == steps:
                state.save()
    torch.save(state.averaged(), run.weights)
    return run.weights


def load_network(config: Config, weights: Path) -> NucleiNet:
    """The network with the weights of a finished run, ready to predict. Tensors only are read, never pickled code."""
    net = NucleiNet(config.network.widths, config.network.depths)
    net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return net.eval()


@contextmanager
def _reproducible(config: Config) -> Iterator[None]:
    """Torch set to give the same numbers again, and set back afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(config.train.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(config.seed)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)


class _State:
    """Everything that changes during a run and that a checkpoint must hold."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config, self.run = config, run
        self.net = NucleiNet(config.network.widths, config.network.depths).train()
        self.average = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=config.train.rate, weight_decay=config.train.weight_decay
        )
        self.step, self.wall_s, self.smooth = 0, 0.0, math.nan
        if run.checkpoint.exists():
            self._load()

    def advance(self, pool: Pool, steps: int) -> None:
        """One step of gradient descent."""
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        images, instances = draw_batch(pool, self.config.sampling, self.config.augment, generator)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, steps, self.config.train)
        self.optimiser.zero_grad()
        value = loss(self.net(1 - images), instances, self.config.loss)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._follow()
        now = float(value.detach())
        self.smooth = now if math.isnan(self.smooth) else 0.98 * self.smooth + 0.02 * now
        self.wall_s += time.perf_counter() - start

    def averaged(self) -> dict[str, Tensor]:
        """The weights to keep."""
        return self.average

    def save(self) -> None:
        """Checkpoint, written beside and renamed, and a line in the log."""
        state = {
            "recipe": self.config.digest(),
            "step": self.step,
            "wall_s": self.wall_s,
            "smooth": self.smooth,
            "net": self.net.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        fresh = self.run.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.run.checkpoint)
        new = not self.run.log.exists()
        with self.run.log.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(LOG_FIELDS)
            rate = self.optimiser.param_groups[0]["lr"]
            writer.writerow([self.step, f"{self.smooth:.5f}", f"{rate:.3g}", f"{self.wall_s:.1f}"])

    def _follow(self) -> None:
        """Move the averaged weights towards the present ones; faster at first, when the average is still empty."""
        keep = min(self.config.train.average, (1 + self.step) / (10 + self.step))
        for name, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    def _load(self) -> None:
        state = torch.load(self.run.checkpoint, weights_only=True)
        if state["recipe"] != self.config.digest():
            raise ValueError(f"{self.run.checkpoint.name} was made with another recipe: use another work folder")
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.wall_s, self.smooth = state["step"], state["wall_s"], state["smooth"]


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero."""
    if step < config.warmup:
        return config.rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, steps - config.warmup)
    return config.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
