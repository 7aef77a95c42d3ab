"""What a run's weights started from and were trained on, as its checkpoint tells."""

from pathlib import Path

import torch

from training.ki67.config import Config
from training.ki67.data import TRAIN, read_part
from training.ki67.train import Start, run_name
from training.loop.config import digest_of


def origin_of(config: Config, work_dir: Path) -> str:
    """In words, what the final network started from.

    Raises
    ------
    FileNotFoundError
        The run has no checkpoint.
    """
    path = work_dir / run_name(None) / "checkpoint.pt"
    if not path.exists():
        raise FileNotFoundError("the final run has no checkpoint: run `train --fold final` first")
    told = torch.load(path, map_location="cpu", weights_only=True)["digest"]
    random = digest_of(config.digest(), read_part(config, work_dir, TRAIN).digest(), Start().digest())
    if told == random:
        return "trained from random weights"
    return "trained from weights that were given (ImageNet's or another package's)"
