"""A loaded network: one shape of batches, checked on the way in and on the way out."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InternalError, PackageInvalidError
from models.manifest import Manifest, OutputSpec
from models.predictor import Batch, Maps, Statistics
from models.preprocess import to_input

Runner = Callable[[list[NDArray[np.generic]]], list[NDArray[np.float32]]]
"""Runs a network: its inputs in order to the outputs it was loaded for, in the manifest's order; InternalError where it
cannot."""


@dataclass(frozen=True)
class Input:
    """Shape and type of one input of a network, as its manifest and the caller's tile and batch have it."""

    shape: tuple[int, ...]
    dtype: str


def order_outputs(found: list[str], wanted: list[str]) -> list[int]:
    """Where the wanted outputs are among the file's, which has no others: by name, so that two heads cannot be swapped.

    Raises
    ------
    PackageInvalidError
        The names differ.
    """
    if sorted(found) != sorted(wanted):
        raise PackageInvalidError(
            f"The network's outputs are {', '.join(found)}; its manifest names {', '.join(wanted)}."
        )
    return [found.index(name) for name in wanted]


class Network:
    """The `Predictor` of every runtime; they differ in the runner alone."""

    def __init__(
        self,
        manifest: Manifest,
        provider: str,
        batch_shape: tuple[int, int, int, int],
        runner: Runner,
        load_calibrator: Callable[[tuple[int, int, int, int]], Runner] | None = None,
        outputs: Collection[str] | None = None,
    ) -> None:
        self._manifest = manifest
        self._provider = provider
        self._batch_shape = batch_shape
        self._runner: Runner | None = runner
        self._load_calibrator = load_calibrator
        self._outputs = [item for item in manifest.outputs if outputs is None or item.name in outputs]

    @property
    def manifest(self) -> Manifest:
        """The package this network came from."""
        return self._manifest

    @property
    def provider(self) -> str:
        """The provider that really runs it."""
        return self._provider

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3)."""
        return self._batch_shape

    def predict(self, batch: Batch, statistics: Statistics | None = None) -> Maps:
        """Raw outputs by name, float32 (N, C, h, w); see `Predictor.predict`."""
        if batch.shape != self._batch_shape or batch.dtype != np.uint8:
            raise ValueError(f"this network takes uint8 {self._batch_shape}, not {batch.dtype} {batch.shape}")
        if (statistics is None) != (self._manifest.statistics is None):
            raise ValueError("statistics are given exactly where the manifest declares them")
        if self._runner is None:
            raise InternalError("The network was closed.")
        inputs: list[NDArray[np.generic]] = [to_input(batch, self._manifest.input)]
        if statistics is not None:
            inputs.append(self._checked_statistics(statistics))
        answers = self._runner(inputs)
        if len(answers) != len(self._outputs):
            raise PackageInvalidError(
                f"{self._manifest.reference} gives {len(answers)} outputs, its manifest names {len(self._outputs)}."
            )
        return {
            output.name: self._checked(output, _as_map(answer))
            for output, answer in zip(self._outputs, answers, strict=True)
        }

    def calibrate(self, tiles: Batch) -> Statistics:
        """The slide's statistics from a sample of its tiles; see `Predictor.calibrate`."""
        if self._load_calibrator is None or self._manifest.statistics is None:
            raise ValueError(f"{self._manifest.reference} declares no frozen statistics")
        if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
            raise ValueError(f"a sample is uint8 (N, H, W, 3), not {tiles.dtype} {tiles.shape}")
        runner = self._load_calibrator((tiles.shape[0], tiles.shape[1], tiles.shape[2], 3))
        statistics = runner([to_input(tiles, self._manifest.input)])[0].astype(np.float32).ravel()
        if statistics.size != self._manifest.statistics.length or not np.isfinite(statistics).all():
            raise InternalError(
                f"The calibrator gave {np.isfinite(statistics).sum()} numbers, not {self._manifest.statistics.length}."
            )
        return statistics

    def _checked_statistics(self, statistics: Statistics) -> Statistics:
        length = 0 if self._manifest.statistics is None else self._manifest.statistics.length
        if statistics.shape != (length,) or statistics.dtype != np.float32 or not np.isfinite(statistics).all():
            raise ValueError(
                f"statistics are {length} finite float32 numbers, not {statistics.dtype} {statistics.shape}"
            )
        return statistics

    def _checked(self, output: OutputSpec, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        count, *sides, _ = self._batch_shape
        expected = (count, output.channels, *((side - 2 * output.inset_px) // output.stride_px for side in sides))
        if answer.shape != expected or answer.dtype != np.float32:
            raise PackageInvalidError(
                f"{self._manifest.reference}: output {output.name} has the shape {answer.shape} in {answer.dtype}, "
                f"its manifest says {expected} and it must be float32."
            )
        # The largest value is no number where any value is none; as class 0 it would be a hole nobody sees.
        if not np.isfinite(answer.max()):
            raise InternalError(
                f"{self._manifest.reference} on {self._provider}: {output.name} holds values that are no numbers."
            )
        return answer

    def close(self) -> None:
        """Release the network's memory."""
        self._runner = None


def _as_map(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Classifiers answer with (N, C), or (N,) for one class: one map pixel per tile."""
    if answer.ndim == 1:
        answer = answer[:, np.newaxis]
    return answer[:, :, np.newaxis, np.newaxis] if answer.ndim == 2 else answer
