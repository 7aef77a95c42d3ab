"""Frozen instance normalisation, where training has always found it; the code is `models.nets.frozen_norm`."""

from models.nets.frozen_norm import (
    Calibrator,
    FrozenExport,
    FrozenInstanceNorm2d,
    FrozenNetwork,
    Tape,
    export_frozen,
    replace_instance_norms,
)

__all__ = [
    "Calibrator",
    "FrozenExport",
    "FrozenInstanceNorm2d",
    "FrozenNetwork",
    "Tape",
    "export_frozen",
    "replace_instance_norms",
]
