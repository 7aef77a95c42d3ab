"""From a network's raw outputs to the bytes that are stored. Shared by training and use, so that both see the same."""

import numpy as np
from numpy.typing import NDArray

from models.manifest import OutputSpec

Raw = NDArray[np.float32]
Stored = NDArray[np.uint8]


def class_map(raw: Raw, output: OutputSpec) -> Stored:
    """The index of the strongest class of each pixel, uint8 (h, w), from raw (C, h, w); the lower index wins a tie.

    Softmax and sigmoid keep the order of logits, so neither is computed.
    """
    if len(raw) == 1:
        return np.zeros(raw.shape[1:], dtype=np.uint8)
    best: Stored = (raw[1] > raw[0]).view(np.uint8)
    strongest = np.maximum(raw[0], raw[1])
    for index in range(2, len(raw)):
        np.copyto(best, index, where=raw[index] > strongest)
        np.maximum(strongest, raw[index], out=strongest)
    return best


def probabilities(raw: Raw, output: OutputSpec) -> Raw:
    """Probabilities, float32 (C, h, w), by the output's activation."""
    if output.activation == "softmax":
        shifted = np.exp(raw - raw.max(axis=0, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=0, keepdims=True), dtype=np.float32)
    if output.activation == "sigmoid":
        # tanh does not overflow where exp(-x) would.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * raw)), dtype=np.float32)
    if output.activation == "tanh":
        return np.asarray((raw + 1) / 2, dtype=np.float32)
    return raw


def probability_bytes(raw: Raw, output: OutputSpec) -> Stored:
    """Probabilities as bytes, round(255 p): uint8 (h, w) for a heat map, (C, h, w) otherwise."""
    scaled = np.rint(np.clip(probabilities(raw, output), 0, 1) * 255).astype(np.uint8)
    return scaled[0] if output.kind == "heat" else scaled


def image_bytes(raw: Raw, output: OutputSpec) -> Stored:
    """An RGB image as bytes, uint8 (3, h, w); the raw range is -1..1 for `tanh`, else 0..1.

    Rounded, or cut off where the output says so.
    """
    scaled = np.clip(probabilities(raw, output), 0, 1) * 255
    return (scaled if output.cut_off else np.rint(scaled)).astype(np.uint8)
