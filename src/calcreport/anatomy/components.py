"""Connected components of a sparse mask, made of runs of voxels, slice by slice while it is in cache.

A CT volume of 1000 slices holds some 10^8 voxels of which a few percent are dense. Consecutive set voxels along a row
make a run, and runs that touch are joined by a sparse graph: no label volume is ever made, and memory and time grow
with the dense part only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from calcreport.processes.threads import map_in_threads

_SLICES_AT_ONCE: Final = 4
"""As many as the cache of a processor holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs of set voxels, sorted by slice, row, start."""

    row: NDArray[np.int64]
    """Shape ``(n,)``; ``slice * rows + row``."""
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    """Shape ``(n,)``; first column and one past the last."""
    shape: tuple[int, int, int]
    """Slices, rows, columns of the volume."""

    @property
    def count(self) -> int:
        """Number of runs."""
        return int(self.row.size)


def find_runs(hu: NDArray[np.int16], limit: int) -> Runs:
    """Runs of voxels at or above a limit in HU; `hu` of shape ``(slices, rows, columns)``."""
    shape = hu.shape

    def collect(first: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        mask = hu[first : first + _SLICES_AT_ONCE] >= limit
        row, start, stop = _runs_of_rows(mask.reshape(-1, shape[2]))
        return row + first * shape[1], start, stop

    parts = map_in_threads(collect, range(0, shape[0], _SLICES_AT_ONCE))
    row, start, stop = (np.concatenate(of_all) for of_all in zip(*parts, strict=True))
    return Runs(row=row, start=start, stop=stop, shape=shape)


def _runs_of_rows(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, first column and one past the last column of each run, sorted by row and column."""
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


def label_runs(runs: Runs, *, reach: int = 1) -> tuple[NDArray[np.int64], int]:
    """Component of each run, from 0, and how many there are.

    A `reach` of 1 joins voxels that share a face, an edge or a corner (26-connected); 0 only those that share a face.
    """
    if runs.count == 0:
        return np.zeros(0, dtype=np.int64), 0
    slices, rows, columns = runs.shape
    stride = columns + 2
    kind = np.dtype(np.int32 if (slices + 2) * rows * stride < 2**31 else np.int64)  # half the bytes
    first_key = (runs.row * stride + runs.start).astype(kind)
    last_key = (runs.row * stride + runs.stop - 1).astype(kind)
    in_slice_row = runs.row % rows
    steps = [1, rows] if reach == 0 else [1, rows - 1, rows, rows + 1]
    heads, tails = [], []
    for step in steps:
        # A step over the first or last row of a slice must not wrap into the neighbouring slice.
        shift = {1: 1, rows - 1: -1, rows: 0, rows + 1: 1}[step]
        target_row = in_slice_row + shift
        valid = np.flatnonzero((target_row >= 0) & (target_row < rows))
        low = np.searchsorted(last_key, first_key[valid] + (step * stride - reach), side="left")
        high = np.searchsorted(first_key, last_key[valid] + (step * stride + reach), side="right")
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
