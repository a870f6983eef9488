"""Incidental mineral as the report lists it: one row for each series, kind and structure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calcreport.model.image import CtVolume
from calcreport.model.incidental import Incidental, IncidentalFinding, IncidentalKind


def list_incidental(findings: Sequence[IncidentalFinding], volumes: Sequence[CtVolume]) -> tuple[Incidental, ...]:
    """Merge deposits of the same series, kind and structure: how many, the longest, the box around all, their images.

    Rows are sorted by kind, then most first; a deposit names its series by the index in `volumes`.
    """
    groups: dict[tuple[int, IncidentalKind, str | None], list[IncidentalFinding]] = {}
    for one in findings:
        groups.setdefault((one.series_index, one.kind, one.structure), []).append(one)
    rows = [_row(members, volumes[index]) for (index, _, _), members in groups.items()]
    kinds = tuple(IncidentalKind)
    return tuple(sorted(rows, key=lambda row: (kinds.index(row.kind), -row.count, row.structure or "")))


def _row(members: list[IncidentalFinding], volume: CtVolume) -> Incidental:
    low, high = (
        pick([one.bbox_lps_mm[corner] for one in members], axis=0).tolist()
        for corner, pick in ((0, np.min), (1, np.max))
    )
    slices = {i for one in members for i in range(one.first_slice, one.last_slice + 1)}
    numbers = [number for i in slices if (number := volume.slices[i].instance_number) is not None]
    return Incidental(
        kind=members[0].kind,
        structure=members[0].structure,
        count=len(members),
        largest_mm=max(one.largest_mm for one in members),
        bbox_lps_mm=((low[0], low[1], low[2]), (high[0], high[1], high[2])),
        first_image=min(numbers, default=None),
        last_image=max(numbers, default=None),
        series_instance_uid=volume.series_instance_uid,
    )
