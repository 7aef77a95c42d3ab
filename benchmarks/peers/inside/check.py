"""Imports what is timed of a peer, in its environment: `check.py NAME`."""

import importlib
import sys

from absent import declare_torchvision_operators, put_empty_modules

MODULES = {
    "deepliif": ("deepliif.models", "deepliif.options"),
    "tiatoolbox": ("tiatoolbox.models.engine.semantic_segmentor",),
    "wsinfer": ("wsinfer.modellib.run_inference", "wsinfer.patchlib"),
}


def main() -> None:
    """Import them."""
    declare_torchvision_operators()
    if sys.argv[1] == "deepliif":
        put_empty_modules("bioformats", "bioformats.omexml", "javabridge")
    for name in MODULES[sys.argv[1]]:
        importlib.import_module(name)


if __name__ == "__main__":
    main()
