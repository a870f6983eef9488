"""Where voxels are: one affine from voxel-centre index to patient LPS millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ORTHOGONALITY_TOLERANCE_DEG: Final = 0.1
"""A step between slices leaning more than this off the slice normal is a sheared (tilted-gantry) stack."""


def lock(name: str, array: NDArray[Any], dtype: type[np.generic], shape: int | tuple[int, ...]) -> None:
    """Make an array read-only; raises `ValueError` unless it has this type and shape, or number of dimensions."""
    if array.dtype != dtype or shape not in {array.ndim, array.shape}:
        msg = f"{name} must be an array of {np.dtype(dtype)} with shape, or number of dimensions, {shape}"
        raise ValueError(msg)
    array.setflags(write=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VolumeGeometry:
    """Geometry of a stack of parallel, equally spaced slices."""

    affine: NDArray[np.float64]
    """Shape ``(4, 4)``; maps homogeneous voxel-centre index ``(slice, row, column, 1)`` to LPS mm. Columns 0-2 are the
    steps for one slice, one row, one column; the step between slices need not be perpendicular to the slice (gantry
    tilt)."""
    shape: tuple[int, int, int]
    """Number of slices, rows, columns; each at least 1."""

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4):
            msg = f"affine must be 4 x 4, not {self.affine.shape}"
            raise ValueError(msg)
        if min(self.shape) < 1:
            msg = f"shape must be positive, not {self.shape}"
            raise ValueError(msg)
        self.affine.setflags(write=False)

    @property
    def slice_normal(self) -> NDArray[np.float64]:
        """Unit vector perpendicular to the slices, shape ``(3,)``, LPS, pointing with increasing slice index."""
        normal = np.cross(self.affine[:3, 1], self.affine[:3, 2])
        normal /= np.linalg.norm(normal)
        return normal if float(normal @ self.affine[:3, 0]) >= 0 else -normal

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Perpendicular distance between slices, distance between rows, distance between columns, in mm."""
        between_slices = abs(float(self.slice_normal @ self.affine[:3, 0]))
        row_step, column_step = (float(np.linalg.norm(self.affine[:3, i])) for i in (1, 2))
        return (between_slices, row_step, column_step)

    @property
    def tilt_deg(self) -> float:
        """Angle between the step from slice to slice and the slice normal, in degrees; 0 for a true stack."""
        step = self.affine[:3, 0]
        cosine = abs(float(self.slice_normal @ step)) / float(np.linalg.norm(step))
        return float(np.degrees(np.arccos(min(1.0, cosine))))

    @property
    def is_sheared(self) -> bool:
        """Whether slices are shifted against each other (gantry tilt)."""
        return self.tilt_deg > ORTHOGONALITY_TOLERANCE_DEG

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm3: exact for a sheared stack too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def voxel_diagonal_mm(self) -> float:
        """Length of the space diagonal of one voxel in mm, from perpendicular spacings."""
        return float(np.linalg.norm(self.spacing_mm))

    def lps_mm(self, index: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Positions, LPS mm, of fractional indices (slice, row, column) of voxel centres; both ``(..., 3)``."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def index(self, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fractional (slice, row, column) of LPS positions in mm, shape ``(..., 3)``; inverse of `lps_mm`."""
        return (np.asarray(lps_mm, dtype=np.float64) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T
