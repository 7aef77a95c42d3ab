"""The trained generators written as a DeepLIIF model folder: state dicts by its names, and its options."""

from pathlib import Path

import torch

from models.importers.deepliif.layout import BACKGROUNDS, NAMES
from training.deepliif.config import MODALITIES, Config, mask_weights
from training.deepliif.train import RUN, load_generators


def write_layout(config: Config, work_dir: Path, out: Path) -> tuple[str, ...]:
    """Names of the files written to `out`: `latest_net_<net>.pth` and `train_opt.txt`.

    `histoserve models import deepliif` reads the folder. DeepLIIF itself forces a width of 64 when it reads state
    dicts, so it can use the folder only where the recipe has that width.

    Raises
    ------
    ValueError
        The recipe is many to one, for which DeepLIIF has no layout; or the folder holds something already.
    """
    if config.nets.many_to_one:
        raise ValueError("DeepLIIF's layout has a segmenter for each modality: many_to_one cannot be written in it")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    nets = load_generators(config, work_dir / RUN / "weights")
    written = []
    for name, net in nets.items():
        written.append(f"latest_net_{name}.pth")
        torch.save(net.state_dict(), out / written[-1])
    (out / "train_opt.txt").write_text(options_text(config), "utf-8")
    return (*written, "train_opt.txt")


def options_text(config: Config) -> str:
    """The options file, one `key: value` a line."""
    nets = config.nets
    chosen = [MODALITIES.index(name) for name in nets.modalities]
    options = {
        "model": "DeepLIIF",
        "modalities_no": len(chosen),
        "modalities_names": [NAMES[0], *(NAMES[1 + k] for k in chosen)],
        "seg_gen": True,
        "seg_weights": [round(weight, 6) for weight in mask_weights(nets)],
        "background_colors": [BACKGROUNDS[k] for k in chosen],
        "scale_size": config.package.scale_px,
        "ngf": nets.translator_width,
        "norm": "batch",
        "padding": nets.padding,
        "upsample": nets.upsample,
        "no_dropout": not nets.dropout,
        "net_g": f"resnet_{nets.blocks}blocks",
        "net_gs": f"unet_{2**nets.levels}",
    }
    return "\n".join(f"{key}: {value}" for key, value in options.items()) + "\n"
