"""Runs of voxels: what a sparse mask is reduced to, slice by slice while it is in cache.

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
