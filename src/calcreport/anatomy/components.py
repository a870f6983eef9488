"""Connected components of a sparse mask, made of runs of voxels, slice by slice while it is in cache.

A CT volume of 1000 slices holds some 10^8 voxels of which a few percent are dense. Consecutive set voxels along a row
make a run, and runs that touch are joined by a sparse graph: no label volume is ever made, and memory and time grow
with the dense part only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from calcreport.anatomy.arrays import Hu, Ints, Mask
from calcreport.processes.threads import map_in_threads

_SLICES_AT_ONCE: Final = 4  # As many as the cache of a processor holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs of set voxels, sorted by slice, row, start."""

    row: Ints
    """Shape ``(n,)``; ``slice * rows + row``."""
    start: Ints
    stop: Ints
    """Shape ``(n,)``; first column and one past the last."""
    shape: tuple[int, int, int]
    """Slices, rows, columns of the volume."""

    @property
    def count(self) -> int:
        """Number of runs."""
        return int(self.row.size)


def find_runs(hu: Hu, limit: int) -> Runs:
    """Runs of voxels at or above a limit in HU; `hu` of shape ``(slices, rows, columns)``."""
    shape = hu.shape

    def collect(first: int) -> tuple[Ints, Ints, Ints]:
        mask = hu[first : first + _SLICES_AT_ONCE] >= limit
        row, start, stop = _runs_of_rows(mask.reshape(-1, shape[2]))
        return row + first * shape[1], start, stop

    parts = map_in_threads(collect, range(0, shape[0], _SLICES_AT_ONCE))
    row, start, stop = (np.concatenate(of_all) for of_all in zip(*parts, strict=True))
    return Runs(row=row, start=start, stop=stop, shape=shape)


def _runs_of_rows(mask: Mask) -> tuple[Ints, Ints, Ints]:
    """Row, first column and one past the last column of each run, sorted by row and column."""
    rows, columns = mask.shape
    # A clear column after every row ends its runs there; a clear voxel in front starts the first.
    flat = np.zeros(rows * (columns + 1) + 1, dtype=bool)
    flat[1:].reshape(rows, columns + 1)[:, :columns] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    start, stop = edges[::2], edges[1::2]
    row = start // (columns + 1)
    return row, start - row * (columns + 1), stop - row * (columns + 1)


def count_up(lengths: Ints) -> Ints:
    """0, 1, … up to each length, one after the other: ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``."""
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def label_runs(runs: Runs) -> tuple[Ints, int]:
    """Component of each run, from 0, and how many; voxels that share a face, an edge or a corner belong together."""
    if runs.count == 0:
        return np.zeros(0, dtype=np.int64), 0
    slices, rows, columns = runs.shape
    stride = columns + 2
    kind = np.dtype(np.int32 if (slices + 2) * rows * stride < 2**31 else np.int64)  # half the bytes
    first_key = (runs.row * stride + runs.start).astype(kind)
    last_key = (runs.row * stride + runs.stop - 1).astype(kind)
    in_slice_row = runs.row % rows
    heads, tails = [], []
    # A step over the first or last row of a slice must not wrap into the neighbouring slice.
    for step, shift in ((1, 1), (rows - 1, -1), (rows, 0), (rows + 1, 1)):
        target_row = in_slice_row + shift
        valid = np.flatnonzero((target_row >= 0) & (target_row < rows))
        low = np.searchsorted(last_key, first_key[valid] + (step * stride - 1), side="left")
        high = np.searchsorted(first_key, last_key[valid] + (step * stride + 1), side="right")
        counts = np.maximum(high - low, 0)
        heads.append(np.repeat(valid.astype(np.int32), counts))
        tails.append((count_up(counts) + np.repeat(low, counts)).astype(np.int32))
    head, tail = np.concatenate(heads), np.concatenate(tails)
    graph = coo_array((np.ones(head.size), (head, tail)), shape=(runs.count, runs.count))  # numbers that scipy asks for
    count, labels = connected_components(graph, directed=False)
    return labels.astype(np.int64), int(count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Components:
    """Connected components with what is needed to sort them, one entry a component."""

    runs: Runs
    """Runs sorted by component, then by slice, row and column."""
    first: Ints
    """Shape ``(count + 1,)``; runs ``first[i]:first[i + 1]`` belong to component ``i``."""
    voxels: Ints
    """Shape ``(count,)``; number of voxels."""
    box: Ints
    """Shape ``(count, 3, 2)``; first and one past the last slice, row, column."""
    peak_hu: Hu
    """Shape ``(count,)``; greatest value inside, HU."""

    @property
    def count(self) -> int:
        """Number of components."""
        return int(self.voxels.size)

    def around(self, members: Ints, margin: Ints) -> tuple[Ints, Ints]:
        """First voxel, and one past the last, of a box around some components with a margin, cut to the volume."""
        low, high = self.box[members, :, 0].min(axis=0), self.box[members, :, 1].max(axis=0)
        return np.maximum(low - margin, 0), np.minimum(high + margin, self.runs.shape)

    def indices(self, component: int) -> Ints:
        """Voxel indices (slice, row, column) of a component, shape ``(n, 3)``."""
        own = slice(int(self.first[component]), int(self.first[component + 1]))
        return _voxels(self.runs.row[own], self.runs.start[own], self.runs.stop[own], self.runs.shape[1])

    def sampled(self, component: int, count: int) -> Ints:
        """About so many voxel indices of a component, evenly spread, all of a small one; shape ``(n, 3)``."""
        own = slice(int(self.first[component]), int(self.first[component + 1]))
        past = np.cumsum(self.runs.stop[own] - self.runs.start[own])
        chosen = np.arange(0, past[-1], max(1, past[-1] // count))
        run = np.searchsorted(past, chosen, side="right")
        plane, line = np.divmod(self.runs.row[own][run], self.runs.shape[1])
        return np.stack([plane, line, self.runs.stop[own][run] - past[run] + chosen], axis=1)


def _voxels(row: Ints, start: Ints, stop: Ints, rows: int) -> Ints:
    """Voxel indices (slice, row, column) of runs in a volume of so many rows a slice, shape ``(n, 3)``."""
    length = stop - start
    plane, line = np.divmod(np.repeat(row, length), rows)
    return np.stack([plane, line, np.repeat(start, length) + count_up(length)], axis=1)


def find_components(hu: Hu, runs: Runs) -> Components:
    """Components of the set voxels given as runs; only their voxels of `hu` are read."""
    labels, count = label_runs(runs)
    order = np.argsort(labels, kind="stable")
    runs = Runs(row=runs.row[order], start=runs.start[order], stop=runs.stop[order], shape=runs.shape)
    first = np.searchsorted(labels[order], np.arange(count + 1))
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
    length = runs.stop - runs.start
    voxels = np.add.reduceat(length, begin)
    values = hu.reshape(-1)[np.repeat(runs.row * runs.shape[2] + runs.start, length) + count_up(length)]
    peak_hu = np.maximum.reduceat(values, np.cumsum(voxels) - voxels)
    return Components(runs=runs, first=first, voxels=voxels, box=box, peak_hu=peak_hu)


Box = tuple[slice, slice, slice]  # slices, rows, columns, with explicit bounds


def box_of(low: Ints, high: Ints) -> Box:
    """Part of a volume from one voxel up to, not including, another; shape ``(3,)`` each."""
    i, j, k = map(slice, low.tolist(), high.tolist())
    return i, j, k


def paint(components: Components, members: Ints, box: Box, step: Ints | int = 1) -> Mask:
    """Voxels of some components, by number, in a box of the volume with explicit bounds; `step` thins its axes out."""
    low, high = np.array([(s.start, s.stop) for s in box]).T
    every = np.broadcast_to(step, 3)
    mask = np.zeros(tuple(-((low - high) // every)), dtype=bool)
    runs, boxes = components.runs, components.box[members]
    rows = runs.shape[1]
    for component in members[((boxes[:, :, 0] < high) & (boxes[:, :, 1] > low)).all(axis=1)]:
        first, past = int(components.first[component]), int(components.first[component + 1])
        first, past = first + np.searchsorted(runs.row[first:past], (low[0] * rows, high[0] * rows))
        plane, line = np.divmod(runs.row[first:past], rows)
        plane, line = plane - low[0], line - low[1]
        edges = (edge[first:past].clip(low[2], high[2]) for edge in (runs.start, runs.stop))
        start, stop = (-((low[2] - edge) // every[2]) for edge in edges)
        meets = (line >= 0) & (line < high[1] - low[1]) & (start < stop)
        meets &= (plane % every[0] == 0) & (line % every[1] == 0)
        row = plane[meets] // every[0] * mask.shape[1] + line[meets] // every[1]
        mask[tuple(_voxels(row, start[meets], stop[meets], mask.shape[1]).T)] = True
    return mask


def with_extra(components: Components, hu: Hu, voxels: list[Ints]) -> Components:
    """Components with further ones appended: one of each array of ascending indices, which others may hold."""
    rows, runs = components.runs.shape[1], components.runs
    index = np.concatenate(voxels)
    # A run for each voxel: the extra ones are few.
    runs = replace(
        runs,
        row=np.append(runs.row, index[:, 0] * rows + index[:, 1]),
        start=np.append(runs.start, index[:, 2]),
        stop=np.append(runs.stop, index[:, 2] + 1),
    )
    counts = [len(own) for own in voxels]
    return Components(
        runs=runs,
        first=np.append(components.first, components.first[-1] + np.cumsum(counts)),
        voxels=np.append(components.voxels, counts),
        box=np.concatenate([components.box, [np.stack([v.min(0), v.max(0) + 1], axis=1) for v in voxels]]),
        peak_hu=np.append(components.peak_hu, [hu[tuple(v.T)].max() for v in voxels]),
    )
