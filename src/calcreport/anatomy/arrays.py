"""Arrays by what they hold."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # true or false
Hu = NDArray[np.int16]  # values of voxels or blocks, HU
Ints = NDArray[np.int64]  # voxel indices, counts
Floats = NDArray[np.float64]  # positions, lengths, shares
Spacing = tuple[float, float, float]  # between slices, rows, columns, mm
Labels = NDArray[np.integer]  # number of the part that holds each voxel, 0 outside
