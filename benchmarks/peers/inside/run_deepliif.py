"""DeepLIIF's own inference on one picture, started in DeepLIIF's environment.

`infer`: the library call that makes the pictures, without post-processing, which are then saved as its command saves
them. `test`: its whole command, with post-processing, scores and its just-in-time compilation.
"""

import argparse
import sys
from pathlib import Path

from absent import declare_torchvision_operators, put_empty_modules

TILE_PX = 512


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("infer", "test"))
    parser.add_argument("picture", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seg-only", action="store_true")
    arguments = parser.parse_args()
    declare_torchvision_operators()
    put_empty_modules("bioformats", "bioformats.omexml", "javabridge")
    arguments.out.mkdir(parents=True, exist_ok=True)
    {"infer": _infer, "test": _test}[arguments.what](arguments)


def _infer(arguments: argparse.Namespace) -> None:
    from deepliif.models import inference
    from deepliif.options import Options
    from PIL import Image

    options = Options(path_file=str(arguments.model / "train_opt.txt"), mode="test")
    options.use_dp, options.gpu_ids, options.BtoA, options.epoch = False, [], False, "latest"
    pictures = inference(
        Image.open(arguments.picture).convert("RGB"),
        tile_size=TILE_PX,
        overlap_size=TILE_PX // 16,
        model_path=str(arguments.model),
        opt=options,
        seg_only=arguments.seg_only,
        seg_weights=options.seg_weights,
    )
    for name, picture in pictures.items():
        picture.save(arguments.out / f"{arguments.picture.stem}_{name}.png")


def _test(arguments: argparse.Namespace) -> None:
    from cli import cli

    command = ["test", "--input-dir", str(arguments.picture.parent), "--output-dir", str(arguments.out)]
    command += ["--filename-pattern", arguments.picture.name, "--model-dir", str(arguments.model)]
    command += ["--tile-size", str(TILE_PX), *(["--seg-only"] if arguments.seg_only else [])]
    sys.argv = ["deepliif", *command]
    cli()


if __name__ == "__main__":
    main()
