"""Pictures to look at: samples of an epoch, panels true and made side by side, cells over the IHC."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from training.deepliif.masks import Picture
from workers.deepliif.cells import Cells, Labels
from workers.deepliif.pictures import draw_borders, overlay
from workers.deepliif.scoring import Score

GAP_PX = 4
Sample = tuple[tuple[Tensor, ...], Mapping[str, Tensor]]


def write_samples(path: Path, samples: Sequence[Sample]) -> None:
    """One row for each sample: IHC, what was made of it, and beside it the true modalities and mask."""
    rows = []
    for (ihc, modalities, mask, _), images in samples:
        true = [modalities[0, k : k + 3] for k in range(0, modalities.shape[1], 3)]
        tensors = [ihc[0], *(image[0] for image in images.values()), *true, mask[0]]
        rows.append(row_of([to_picture(tensor) for tensor in tensors]))
    if rows:
        write_picture(path, column_of(rows))


def cells_over(ihc: Picture, labels: Labels, cells: Cells, score: Score) -> Picture:
    """The IHC with red borders around positive cells and blue ones around negative cells."""
    drawn: Picture = overlay(ihc, draw_borders(labels, cells, score))
    return drawn


def to_picture(tensor: Tensor) -> Picture:
    """uint8 (H, W, 3) of a tensor (3, H, W) in -1..1, cut off as DeepLIIF does."""
    values = tensor.detach().float().cpu().permute(1, 2, 0).numpy()
    scaled = (values + np.float32(1)) / np.float32(2) * np.float32(255)
    cut: Picture = np.clip(scaled, 0, 255).astype(np.uint8)
    return cut


def row_of(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one height side by side, white between them."""
    return _joined(pictures, 1)


def column_of(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one width below each other, white between them."""
    return _joined(pictures, 0)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _joined(pictures: Sequence[Picture], axis: int) -> Picture:
    parts: list[Picture] = []
    for picture in pictures:
        shape = list(picture.shape)
        shape[axis] = GAP_PX
        parts += [picture, np.full(shape, 255, np.uint8)]
    return np.concatenate(parts[:-1], axis=axis)
