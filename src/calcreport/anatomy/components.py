"""Connected components of a sparse mask, made of runs of voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calcreport.anatomy.runs import Runs, count_up, label_runs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Connected components with what is needed to sort them, one entry a component."""

    runs: Runs
    """Runs sorted by component, then by slice, row and column."""
    first: NDArray[np.int64]
    """Shape ``(count + 1,)``; runs ``first[i]:first[i + 1]`` belong to component ``i``."""
    voxels: NDArray[np.int64]
    """Shape ``(count,)``; number of voxels."""
    box: NDArray[np.int64]
    """Shape ``(count, 3, 2)``; first and one past the last slice, row, column."""
    peak_hu: NDArray[np.int16]
    """Shape ``(count,)``; greatest value inside, HU."""

    @property
    def count(self) -> int:
        """Number of components."""
        return int(self.voxels.size)

    def indices(self, component: int) -> NDArray[np.int64]:
        """Voxel indices (slice, row, column) of a component, shape ``(n, 3)``."""
        chosen = slice(int(self.first[component]), int(self.first[component + 1]))
        start, stop, row = self.runs.start[chosen], self.runs.stop[chosen], self.runs.row[chosen]
        length = stop - start
        within = count_up(length)
        rows = self.runs.shape[1]
        flat_row = np.repeat(row, length)
        return np.stack([flat_row // rows, flat_row % rows, np.repeat(start, length) + within], axis=1)


def find_components(hu: NDArray[np.int16], runs: Runs, *, reach: int = 1) -> Components:
    """Components of the set voxels given as runs, `reach` as in `label_runs`; only their voxels of `hu` are read."""
    labels, count = label_runs(runs, reach=reach)
    order = np.argsort(labels, kind="stable")
    runs = Runs(row=runs.row[order], start=runs.start[order], stop=runs.stop[order], shape=runs.shape)
    first = np.searchsorted(labels[order], np.arange(count + 1))
    if count == 0:
        empty = np.zeros((0, 3, 2), dtype=np.int64)
        return Components(
            runs=runs, first=first, voxels=empty[:, 0, 0], box=empty, peak_hu=empty[:, 0, 0].astype(np.int16)
        )
    rows = runs.shape[1]
    begin = first[:-1]
    slice_index, row_index = np.divmod(runs.row, rows)
    box = np.stack(
        [
            np.stack([np.minimum.reduceat(low, begin), np.maximum.reduceat(high, begin) + 1], axis=1)
            for low, high in ((slice_index, slice_index), (row_index, row_index), (runs.start, runs.stop - 1))
        ],
        axis=1,
    )
    return Components(
        runs=runs,
        first=first,
        voxels=np.add.reduceat(runs.stop - runs.start, begin),
        box=box,
        peak_hu=np.maximum.reduceat(_peak_of_runs(hu, runs), begin),
    )


def _peak_of_runs(hu: NDArray[np.int16], runs: Runs) -> NDArray[np.int16]:
    """Greatest value of each run; longer runs take part in fewer and fewer rounds."""
    flat = hu.reshape(-1)
    begin = runs.row * runs.shape[2] + runs.start
    length = runs.stop - runs.start
    peak: NDArray[np.int16] = flat[begin]
    active = np.flatnonzero(length > 1)
    offset = 1
    while active.size:
        peak[active] = np.maximum(peak[active], flat[begin[active] + offset])
        offset += 1
        active = active[length[active] > offset]
    return peak


def paint(components: Components, chosen: NDArray[np.bool_], box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
    """Voxels of the chosen components (shape ``(count,)``) inside a box of the volume with explicit bounds."""
    shape = tuple(s.stop - s.start for s in box)
    mask = np.zeros(shape, dtype=bool)
    bounds = np.array([[s.start, s.stop] for s in box])
    members = np.flatnonzero(chosen)  # few of very many
    low, high = components.box[members, :, 0], components.box[members, :, 1]
    rows = components.runs.shape[1]
    for component in members[((low < bounds[:, 1]) & (high > bounds[:, 0])).all(axis=1)]:
        begin, end = int(components.first[component]), int(components.first[component + 1])
        within = np.searchsorted(components.runs.row[begin:end], (box[0].start * rows, box[0].stop * rows))
        part = slice(begin + int(within[0]), begin + int(within[1]))
        plane, line = np.divmod(components.runs.row[part], rows)
        start, stop = components.runs.start[part], components.runs.stop[part]
        inside = (line >= box[1].start) & (line < box[1].stop) & (start < box[2].stop) & (stop > box[2].start)
        first = np.maximum(start[inside], box[2].start) - box[2].start
        past = np.minimum(stop[inside], box[2].stop) - box[2].start
        length = past - first
        line_index = np.repeat(
            ((plane[inside] - box[0].start) * shape[1] + line[inside] - box[1].start) * shape[2] + first, length
        )
        mask.reshape(-1)[line_index + count_up(length)] = True
    return mask


def with_extra(components: Components, hu: NDArray[np.int16], voxels: list[NDArray[np.int64]]) -> Components:
    """Components with further ones appended: one of each array of indices, shape ``(n, 3)``, which others may hold."""
    rows = components.runs.shape[1]
    parts = [components.runs]
    counts, boxes, peaks, firsts = [], [], [], [components.first]
    total = components.runs.count
    for index in voxels:
        ordered = index[np.lexsort((index[:, 2], index[:, 1], index[:, 0]))]
        row = ordered[:, 0] * rows + ordered[:, 1]
        begins = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(ordered[:, 2], prepend=-2) != 1))
        ends = np.append(begins[1:], len(ordered)) - 1
        parts.append(
            Runs(row=row[begins], start=ordered[begins, 2], stop=ordered[ends, 2] + 1, shape=components.runs.shape)
        )
        total += begins.size
        firsts.append(np.array([total]))
        counts.append(len(ordered))
        boxes.append(np.stack([ordered.min(0), ordered.max(0) + 1], axis=1))
        peaks.append(int(hu[tuple(ordered.T)].max()))
    runs = Runs(
        row=np.concatenate([p.row for p in parts]), start=np.concatenate([p.start for p in parts]),
        stop=np.concatenate([p.stop for p in parts]), shape=components.runs.shape,
    )  # fmt: skip
    return Components(
        runs=runs,
        first=np.concatenate(firsts),
        voxels=np.append(components.voxels, counts).astype(np.int64),
        box=np.concatenate([components.box, np.array(boxes, dtype=np.int64).reshape(-1, 3, 2)]),
        peak_hu=np.append(components.peak_hu, np.array(peaks, dtype=np.int16)),
    )
