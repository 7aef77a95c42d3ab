"""What registration gives: the map with its parts, and how far it can be trusted."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.registration.maps import Field, Points, Pose, Warp, sample


@dataclass(frozen=True)
class Quality:
    """How well two sections lie on each other, and whether that can be believed."""

    similarity_before: float
    """Correlation of the structure pictures, -1 to 1, with the sections' centres laid onto each other."""
    similarity_pose: float
    similarity_warp: float
    agreeing: float
    """Part of the tissue's patches that, looked for anew, are found where the warp says."""
    agreeing_pose: float
    """The same after the pose alone."""
    patches: int
    """Patches looked for."""
    common: float
    """Part of the fixed tissue that lies on the moving picture."""
    scale: float
    """Moving px per fixed px of the pose."""
    stretch: float
    """Largest over smallest stretch of the pose."""
    turn_deg: float
    flipped: bool
    least_jacobian: float
    """Smallest change of area by the field, beyond the pose's; 0 or less would be a fold."""
    largest_bend_um: float
    """Largest displacement of the field over tissue."""
    trusted: bool
    reasons: tuple[str, ...]
    """Why it is not trusted; empty where it is."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Registration:
    """Where each point of the fixed picture lies in the moving one."""

    pose: Pose
    field: Field
    mpp: float
    fixed_shape: tuple[int, int]
    """(rows, columns)."""
    moving_shape: tuple[int, int]
    quality: Quality

    def map_points(self, points_px: Points, field: bool = True) -> Points:
        """Moving px of fixed px, float64 (n, 2); without the field on demand."""
        return self._warp(field).map_points(_points(points_px))

    def inverse_points(self, points_px: Points, field: bool = True) -> Points:
        """Fixed px of moving px, float64 (n, 2)."""
        return self._warp(field).inverse_points(_points(points_px))

    def warp(self, moving: NDArray[np.uint8], field: bool = True) -> NDArray[np.uint8]:
        """The moving picture, uint8 (H, W) or (H, W, C), resampled onto the fixed one; white outside."""
        layers = moving[..., None] if moving.ndim == 2 else moving
        warp = self._warp(field)
        parts = [sample(part.astype(np.float32), warp, self.fixed_shape, 255.0) for part in np.moveaxis(layers, -1, 0)]
        out = np.clip(np.rint(np.stack(parts, axis=-1)), 0, 255).astype(np.uint8)
        return out[..., 0] if moving.ndim == 2 else out

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all that is needed to map points again."""
        return {
            "mpp": self.mpp,
            "fixed_px": list(self.fixed_shape[::-1]),
            "moving_px": list(self.moving_shape[::-1]),
            "pose": self.pose.matrix.tolist(),
            "field": {
                "spacing_px": self.field.spacing_px,
                "dx_px": np.round(self.field.dx, 4).tolist(),
                "dy_px": np.round(self.field.dy, 4).tolist(),
            },
            "quality": self.quality.as_dict(),
        }

    def _warp(self, field: bool) -> Warp:
        return Warp(self.pose, self.field if field else None)


def _points(points_px: Points) -> Points:
    return np.asarray(points_px, dtype=np.float64).reshape(-1, 2)
