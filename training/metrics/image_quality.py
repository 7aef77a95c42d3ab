"""How close a made picture is to the real one: mean squared error and structural similarity."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

SPREAD_PX = 1.5
"""Standard deviation of the window of the structural similarity, as its authors chose it."""


def mse(truth: Picture, predicted: Picture) -> float:
    """Mean squared difference of two uint8 pictures, on a scale where white is 1.

    Raises
    ------
    ValueError
        The pictures differ in shape.
    """
    _check(truth, predicted)
    gap = (truth.astype(np.float64) - predicted.astype(np.float64)) / 255
    return float(np.mean(gap * gap))


def ssim(truth: Picture, predicted: Picture) -> float:
    """Structural similarity of two uint8 pictures (H, W) or (H, W, C), the mean of their channels; 1 where equal.

    Raises
    ------
    ValueError
        The pictures differ in shape, or are smaller than the window of 11 px.

    References
    ----------
    Wang et al. 2004, doi:10.1109/TIP.2003.819861; the authors' Gaussian window, by scikit-image.
    """
    from skimage.metrics import structural_similarity

    _check(truth, predicted)
    return float(
        structural_similarity(
            truth,
            predicted,
            data_range=255,
            gaussian_weights=True,
            sigma=SPREAD_PX,
            use_sample_covariance=False,
            channel_axis=2 if truth.ndim == 3 else None,
        )
    )


def _check(truth: Picture, predicted: Picture) -> None:
    if truth.shape != predicted.shape:
        raise ValueError(f"pictures of shapes {truth.shape} and {predicted.shape} cannot be compared")
    if truth.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"pictures are {truth.dtype} and {predicted.dtype}: give uint8")
