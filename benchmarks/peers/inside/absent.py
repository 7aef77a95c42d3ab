"""Stand-ins for compiled parts of the peers that cannot be had here. None of them is used on the paths we time.

* PyPI's torchvision is built for CUDA: beside a CPU torch its operators do not load, and its import then fails on the
  declaration of one of them. It is declared here, never called.
* python-bioformats needs a Java machine; DeepLIIF imports it at the top and uses it for slides, not for pictures.
"""

import sys
import types
from typing import Any

import torch


def declare_torchvision_operators() -> None:
    """Let torchvision be imported without its compiled operators."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def put_empty_modules(*names: str) -> None:
    """Put modules that hold nothing in the place of ones that are not installed."""
    for name in names:
        module = types.ModuleType(name)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(_module(parent), child, module)
        sys.modules[name] = module


def _module(name: str) -> Any:
    return sys.modules[name]
