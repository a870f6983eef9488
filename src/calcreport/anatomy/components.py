"""Connected components of a sparse mask, from runs of voxels: no label volume is ever made.

A CT volume of 1000 slices holds some 10^8 voxels of which a few percent are dense. Each slice is reduced to runs
(consecutive set voxels along a row) while it is in cache; runs that touch are joined by a sparse graph. Memory and
time grow with the dense part only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs of set voxels, sorted by slice, row, start.

    Parameters
    ----------
    row : NDArray[np.int64]
        Shape ``(n,)``; ``slice * rows + row``.
    start, stop : NDArray[np.int64]
        Shape ``(n,)``; first column and one past the last.
    shape : tuple[int, int, int]
        Slices, rows, columns of the volume.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    shape: tuple[int, int, int]

    @property
    def count(self) -> int:
        """Number of runs."""
        return int(self.row.size)


def runs_of_slice(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs of one slice: row, first column, one past the last column.

    Parameters
    ----------
    mask : NDArray[np.bool_]
        Shape ``(rows, columns)``.

    Returns
    -------
    tuple of three NDArray[np.int64]
        Each of shape ``(n,)``, sorted by row and column; empty for an empty mask.
    """
    rows, columns = mask.shape
    # A clear column after every row ends its runs there; a clear voxel in front starts the first.
    flat = np.zeros(rows * (columns + 1) + 1, dtype=bool)
    flat[1:].reshape(rows, columns + 1)[:, :columns] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    start, stop = edges[::2], edges[1::2]
    row = start // (columns + 1)
    return row, start - row * (columns + 1), stop - row * (columns + 1)


def count_up(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … up to each length, one after the other: ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def collect_runs(
    slices: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]], shape: tuple[int, int, int]
) -> Runs:
    """Join the runs of all slices, given in slice order as `runs_of_slice` returns them."""
    rows = shape[1]
    row = np.concatenate([r + i * rows for i, (r, _, _) in enumerate(slices)])
    start = np.concatenate([a for _, a, _ in slices])
    stop = np.concatenate([b for _, _, b in slices])
    return Runs(row=row, start=start, stop=stop, shape=shape)


def label_runs(runs: Runs, *, reach: int = 1) -> tuple[NDArray[np.int64], int]:
    """Label runs that belong together.

    Parameters
    ----------
    runs : Runs
        Sorted runs.
    reach : int
        1 joins voxels that share a face, an edge or a corner (26-connected); 0 only those that share a face
        (6-connected).

    Returns
    -------
    labels : NDArray[np.int64]
        Shape ``(runs.count,)``; component of each run, from 0.
    count : int
        Number of components.
    """
    if runs.count == 0:
        return np.zeros(0, dtype=np.int64), 0
    _, rows, columns = runs.shape
    stride = columns + 2
    first_key = runs.row * stride + runs.start
    last_key = runs.row * stride + runs.stop - 1
    in_slice_row = runs.row % rows
    steps = [1, rows] if reach == 0 else [1, rows - 1, rows, rows + 1]
    heads, tails = [], []
    for step in steps:
        # A step over the first or last row of a slice must not wrap into the neighbouring slice.
        shift = {1: 1, rows - 1: -1, rows: 0, rows + 1: 1}[step]
        target_row = in_slice_row + shift
        valid = np.flatnonzero((target_row >= 0) & (target_row < rows))
        target = (runs.row[valid] + step) * stride
        low = np.searchsorted(last_key, target + runs.start[valid] - reach, side="left")
        high = np.searchsorted(first_key, target + runs.stop[valid] - 1 + reach, side="right")
        counts = np.maximum(high - low, 0)
        heads.append(np.repeat(valid, counts))
        tails.append(count_up(counts) + np.repeat(low, counts))
    head, tail = np.concatenate(heads), np.concatenate(tails)
    graph = coo_array((np.ones(head.size, dtype=np.int8), (head, tail)), shape=(runs.count, runs.count))
    count, labels = connected_components(graph, directed=False)
    return labels.astype(np.int64), int(count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Connected components with what is needed to sort them, one entry a component.

    Parameters
    ----------
    runs : Runs
        Runs sorted by component, then by slice, row and column.
    first : NDArray[np.int64]
        Shape ``(count + 1,)``; runs ``first[i]:first[i + 1]`` belong to component ``i``.
    voxels : NDArray[np.int64]
        Shape ``(count,)``; number of voxels.
    box : NDArray[np.int64]
        Shape ``(count, 3, 2)``; first and one past the last slice, row, column.
    peak_hu : NDArray[np.int16]
        Shape ``(count,)``; greatest value inside, HU.
    """

    runs: Runs
    first: NDArray[np.int64]
    voxels: NDArray[np.int64]
    box: NDArray[np.int64]
    peak_hu: NDArray[np.int16]

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
    """Components of the set voxels given as runs.

    Parameters
    ----------
    hu : NDArray[np.int16]
        Shape ``(slices, rows, columns)``, HU; only voxels inside runs are read.
    runs : Runs
        Set voxels.
    reach : int
        As in `label_runs`.

    Returns
    -------
    Components
        Empty when there are no runs.
    """
    labels, count = label_runs(runs, reach=reach)
    order = np.argsort(labels, kind="stable")
    runs = Runs(row=runs.row[order], start=runs.start[order], stop=runs.stop[order], shape=runs.shape)
    first = np.searchsorted(labels[order], np.arange(count + 1))
    if count == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Components(
            runs=runs,
            first=first,
            voxels=empty,
            box=np.zeros((0, 3, 2), dtype=np.int64),
            peak_hu=empty.astype(np.int16),
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
    """Voxels of some components inside a box of the volume.

    Parameters
    ----------
    components : Components
        All components.
    chosen : NDArray[np.bool_]
        Shape ``(components.count,)``; true for those to paint.
    box : tuple of slice
        Slices along slice, row, column with explicit bounds.

    Returns
    -------
    NDArray[np.bool_]
        Shape of the box.
    """
    shape = tuple(s.stop - s.start for s in box)
    mask = np.zeros(shape, dtype=bool)
    bounds = np.array([[s.start, s.stop] for s in box])
    touching = (
        chosen & (components.box[:, :, 0] < bounds[:, 1]).all(1) & (components.box[:, :, 1] > bounds[:, 0]).all(1)
    )
    rows = components.runs.shape[1]
    for component in np.flatnonzero(touching):
        low, high = int(components.first[component]), int(components.first[component + 1])
        span = components.runs.row[low:high]
        low, high = (
            low + int(np.searchsorted(span, box[0].start * rows)),
            low + int(np.searchsorted(span, box[0].stop * rows)),
        )
        plane, line = np.divmod(components.runs.row[low:high], rows)
        start, stop = components.runs.start[low:high], components.runs.stop[low:high]
        inside = (line >= box[1].start) & (line < box[1].stop) & (start < box[2].stop) & (stop > box[2].start)
        first = np.maximum(start[inside], box[2].start) - box[2].start
        past = np.minimum(stop[inside], box[2].stop) - box[2].start
        length = past - first
        line_index = np.repeat(
            ((plane[inside] - box[0].start) * shape[1] + line[inside] - box[1].start) * shape[2] + first, length
        )
        within = count_up(length)
        mask.reshape(-1)[line_index + within] = True
    return mask


def with_extra(components: Components, hu: NDArray[np.int16], voxels: list[NDArray[np.int64]]) -> Components:
    """Components with further ones appended, made of given voxels (which others may hold too).

    Parameters
    ----------
    components : Components
        As found.
    hu : NDArray[np.int16]
        The volume, HU.
    voxels : list of NDArray[np.int64]
        One array of shape ``(n, 3)`` per new component: indices (slice, row, column).
    """
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
