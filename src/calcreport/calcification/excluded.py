"""The list of dense things that are not lesions, for a reader to check."""

from __future__ import annotations

import numpy as np

from calcreport.calcification.detect import Detection
from calcreport.calcification.reject import Rejected
from calcreport.calcification.size import as_point, farthest_pair
from calcreport.model.image import CtVolume
from calcreport.model.report import Excluded

LISTED_PER_REASON = 12
"""Larger ones are listed one by one, the rest of a kind as one row with a count."""


def list_excluded(detection: Detection, volume: CtVolume) -> tuple[Excluded, ...]:
    """Rows for everything rejected, largest first within a reason; many small ones share a row.

    `detection`: sorted components; `volume`: for positions.
    """
    kinds: dict[tuple[str, str], list[Rejected]] = {}
    for rejected in detection.rejected:
        kinds.setdefault((rejected.reason.value, rejected.detail), []).append(rejected)
    rows: list[Excluded] = []
    for members in kinds.values():
        members.sort(key=lambda r: -int(detection.components.voxels[r.component]))
        rows += [_row(detection, volume, [r]) for r in members[:LISTED_PER_REASON]]
        if len(members) > LISTED_PER_REASON:
            rows.append(_row(detection, volume, members[LISTED_PER_REASON:]))
    return tuple(rows)


def _row(detection: Detection, volume: CtVolume, members: list[Rejected]) -> Excluded:
    """One row for one or several components; a shared row gives the largest one's place and size."""
    component = members[0].component
    low, high = detection.components.box[component].T.astype(np.float64)
    corners = np.array([[i, j, k] for i in (low[0], high[0]) for j in (low[1], high[1]) for k in (low[2], high[2])])
    # Outer edges of the box: half a voxel beyond the outermost centres. A box is enough to find the thing again.
    start, end = farthest_pair(volume.geometry.lps_mm(corners - 0.5))
    voxels = sum(int(detection.components.voxels[r.component]) for r in members)
    return Excluded(
        reason=members[0].reason, centroid_lps_mm=as_point(volume.geometry.lps_mm((low + high - 1) / 2)),
        max_diameter_mm=float(np.linalg.norm(end - start)), volume_mm3=voxels * volume.geometry.voxel_volume_mm3,
        detail=members[0].detail, count=len(members),
    )  # fmt: skip
