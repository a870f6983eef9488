"""Lesions of two studies paired one to one by where they lie once the images are registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from calcreport.anatomy.arrays import Floats
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.model.overlay import EarlierPlace, Overlay
from calcreport.registration.rigid import Place, Registration

MOST_RESIDUAL_MM: Final = 3.0
"""A place that may be further off is not compared: pairs on real series fit to 2.1 mm at most (docs/accuracy.md), and a
place that was 14 mm off had a residual of 4.4 mm (tests/unit/registration)."""
LEAST_SHARE: Final = 0.5  # One lesion holds at least this share of the other, where they are the same
REACH_MM: Final = 1.0  # Beside the residual and half a voxel of each study: the edge of a deposit on another scanner
DENSE_SHARE: Final = 0.3
"""Of the voxels of a lesion, as dense on the other study: mineral is there, whatever it was called."""
LEAST_SLICES: Final = 1.5  # A lesion that is shorter than so many slices of the other study can be missed there
_MOST_POINTS: Final = 3_000  # of a lesion that are compared
_FAR: Final = 1e6  # cost of two lesions that are not at one place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deposit:
    """A lesion of one of the studies."""

    name: str
    points: Floats
    """Voxel centres, LPS mm, shape ``(n, 3)``; at least one."""
    series: int
    """Index of the volume it was measured on."""
    length_mm: float

    @property
    def middle(self) -> Floats:
        """Mean of its voxels, LPS mm."""
        middle: Floats = self.points.mean(axis=0)
        return middle

    @property
    def sample(self) -> Floats:
        """Some of its voxels."""
        return self.points[:: max(1, len(self.points) // _MOST_POINTS)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Laid:
    """Where a place of one study lies in the other."""

    place: Place
    series: int
    """Index of the other study's volume."""


@dataclass(slots=True, kw_only=True, eq=False)
class Pairing:
    """Two studies, their lesions, and where the lesions of each lie in the other."""

    now: Sequence[Deposit]
    before: Sequence[Deposit]
    volumes_now: Sequence[CtVolume]
    volumes_before: Sequence[CtVolume]
    limit_hu: float
    """Mineral is denser."""
    laid: list[Laid | None] = field(default_factory=list)
    """Of each present lesion; ``None`` where the earlier study does not show its place."""
    is_laid: bool = False
    """Whether the images could be registered at any lesion, so that it may be compared."""
    _registrations: dict[tuple[int, int], Registration] = field(default_factory=dict)

    def overlay(self) -> Overlay:
        """Pair the lesions, and name those that are new or gone."""
        self.laid = [self._lay(deposit.series, deposit) for deposit in self.now]
        cost = np.full((len(self.now), len(self.before)), _FAR)
        for i, (deposit, laid) in enumerate(zip(self.now, self.laid, strict=True)):
            for j, other in enumerate(self.before):
                if laid is not None and laid.series == other.series:
                    cost[i, j] = self._cost(deposit, laid, other)
        pairs = {int(i): int(j) for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < _FAR}
        joined = {i: self._joined(i, j, pairs, cost) for i, j in pairs.items()}
        places = tuple(self._place(i, pairs, joined, cost) for i in range(len(self.now)))
        matched = {j for place in places for j in place.earlier}
        near = {int(j) for j in np.flatnonzero((cost < _FAR).any(axis=0))}
        vanished = [j for j in range(len(self.before)) if j not in matched and self._is_gone(j, is_near=j in near)]
        return Overlay(places=places, vanished=tuple(vanished))

    def _lay(self, series: int, deposit: Deposit) -> Laid | None:
        """Best registration of a lesion's neighbourhood among the earlier volumes that show its place."""
        middle = deposit.middle
        found: list[Laid] = []
        for other in range(len(self.volumes_before)):
            place = self._registration(series, other).at(middle, deposit.sample)
            self.is_laid |= place.residual_mm <= MOST_RESIDUAL_MM
            if place.transform is None:
                continue
            laid, there = Laid(place=place, series=other), [one for one in self.before if one.series == other]
            # A lesion cut by the last slices before reaches beyond them now; what they show of it is listed there.
            if self._shown(self.volumes_before[other], place.before(deposit.sample)) or any(
                self._cost(deposit, laid, one) < _FAR for one in there
            ):
                found.append(laid)
        return min(found, key=lambda laid: laid.place.residual_mm, default=None)

    def _registration(self, series: int, other: int) -> Registration:
        new = Registration(self.volumes_now[series], self.volumes_before[other])
        return self._registrations.setdefault((series, other), new)

    @staticmethod
    def _shown(volume: CtVolume, points: Floats) -> float:
        """Share of some positions, LPS mm, that a volume shows away from its edge."""
        index = np.rint(volume.geometry.index(points)).astype(int)
        index = index[((index >= 1) & (index < np.array(volume.hu.shape) - 1)).all(axis=1)]
        return float(np.sum(volume.hu[tuple(index.T)] >= LOWEST_HU)) / len(points)

    def _reach_mm(self, laid: Laid, series: int) -> float:
        diagonals = [
            volume.geometry.voxel_diagonal_mm for volume in (self.volumes_now[series], self.volumes_before[laid.series])
        ]
        return REACH_MM + laid.place.residual_mm + sum(diagonals) / 2

    def _cost(self, deposit: Deposit, laid: Laid, other: Deposit) -> float:
        """Distance of the middles in mm where two lesions are at one place; else `_FAR`."""
        if laid.place.residual_mm > MOST_RESIDUAL_MM:
            return _FAR
        moved, there = laid.place.before(deposit.sample), other.sample
        reach_mm = self._reach_mm(laid, deposit.series)
        shares = [
            float(np.mean(np.isfinite(cKDTree(b).query(a, distance_upper_bound=reach_mm)[0])))
            for a, b in ((moved, there), (there, moved))
        ]
        # The smaller of the two lies in the larger.
        share = shares[0] if deposit.length_mm <= other.length_mm else shares[1]
        return float(np.linalg.norm(moved.mean(axis=0) - there.mean(axis=0))) if share >= LEAST_SHARE else _FAR

    def _joined(self, i: int, j: int, pairs: dict[int, int], cost: Floats) -> tuple[int, ...]:
        """Earlier lesions that are one now: those beside the paired one which no other lesion has taken."""
        also = [
            int(k) for k in np.flatnonzero(cost[i] < _FAR)
            if k != j and k not in pairs.values() and not self._is_gone(int(k), is_near=True)
        ]  # fmt: skip
        return tuple(sorted([j, *also]))

    def _place(self, i: int, pairs: dict[int, int], joined: dict[int, tuple[int, ...]], cost: Floats) -> EarlierPlace:
        if i not in pairs:
            return self._unpaired(i, cost)
        j, laid = pairs[i], self.laid[i]
        # By the same transform: a part whose own neighbourhood could not be registered is a part all the same.
        rest = [k for k in range(len(self.now)) if k not in pairs and self.now[k].series == self.now[i].series]
        parts = [i, *(k for k in rest if laid and self._cost(self.now[k], laid, self.before[j]) < _FAR)]
        reason = f"{self.before[j].name} of the earlier study is now {len(parts)} lesions" if len(parts) > 1 else ""
        rivals = [float(cost[i, k]) for k in range(len(self.before)) if k not in joined[i] and cost[i, k] < _FAR]
        if laid is not None and rivals and min(rivals) - cost[i, j] < laid.place.residual_mm:
            reason = f"more than one earlier lesion lies within the {laid.place.residual_mm:.0f} mm the studies fit to"
            return EarlierPlace(status="ambiguous", reason=reason)
        return EarlierPlace(
            status="matched", earlier=joined[i], reason=reason,
            joint_mm=self._joint_mm(joined[i]) if len(joined[i]) > 1 else None,
        )  # fmt: skip

    def _joint_mm(self, members: tuple[int, ...]) -> float:
        points = np.concatenate([self.before[j].points for j in members])
        axes = np.random.default_rng(0).standard_normal((200, 3))
        along = points @ axes.T
        ends = points[np.unique(np.concatenate([along.argmin(axis=0), along.argmax(axis=0)]))]
        return float(pdist(ends).max())

    def _unpaired(self, i: int, cost: Floats) -> EarlierPlace:
        laid, deposit = self.laid[i], self.now[i]
        if laid is None:
            reason = "the earlier images do not show its place, or cannot be registered with the present one there"
            return EarlierPlace(status="not_found", reason=reason)
        if laid.place.residual_mm > MOST_RESIDUAL_MM or (cost[i] < _FAR).any():
            reason = f"the studies fit to {laid.place.residual_mm:.0f} mm only at its place"
            part = "it is one of several parts of one earlier lesion"
            return EarlierPlace(status="ambiguous", reason=part if (cost[i] < _FAR).any() else reason)
        return self._searched_before(deposit, laid)

    def _searched_before(self, deposit: Deposit, laid: Laid) -> EarlierPlace:
        volume, moved = self.volumes_before[laid.series], laid.place.before(deposit.sample)
        if self._shown(volume, moved) < 1:
            return EarlierPlace(status="not_found", reason="the earlier images show a part of its place only")
        if deposit.length_mm < LEAST_SLICES * volume.geometry.spacing_mm[0]:
            return EarlierPlace(status="not_found", reason="the earlier slices are too thick to have shown it")
        if self._is_dense(volume, moved, laid.place.residual_mm):
            reason = "the earlier images show mineral at its place that was not measured as a lesion"
            return EarlierPlace(status="ambiguous", reason=reason)
        return EarlierPlace(status="new", reason="its place was searched on the earlier images and held no mineral")

    def _is_dense(self, volume: CtVolume, points: Floats, reach_mm: float) -> bool:
        """Whether a volume is as dense as mineral at some positions, give or take `reach_mm`."""
        index = np.rint(volume.geometry.index(points)).astype(int)
        steps = np.maximum(1, np.rint((reach_mm + REACH_MM) / np.array(volume.geometry.spacing_mm))).astype(int)
        low = np.maximum(index.min(axis=0) - steps, 0)
        high = np.minimum(index.max(axis=0) + steps + 1, volume.hu.shape)
        cut = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        peaks = ndimage.maximum_filter(cut, size=(2 * steps + 1).tolist())
        inside = np.clip(index - low, 0, np.array(cut.shape) - 1)
        return bool(np.mean(peaks[tuple(inside.T)] >= self.limit_hu) >= DENSE_SHARE)

    def _is_gone(self, j: int, *, is_near: bool) -> bool:
        """Whether the present images show the place of an earlier lesion, and no mineral there.

        `is_near`: it lies beside a lesion that is paired with another; its own place is then looked at closely.
        """
        deposit = self.before[j]
        for series, volume in enumerate(self.volumes_now):
            back = self._back(series, deposit)
            if back is None or self._shown(volume, back[0]) < 1:
                continue
            is_seen = deposit.length_mm >= LEAST_SLICES * volume.geometry.spacing_mm[0]
            return is_seen and not self._is_dense(volume, back[0], 0.0 if is_near else back[1])
        return False

    def _back(self, series: int, deposit: Deposit) -> tuple[Floats, float] | None:
        """Positions of an earlier lesion in the present study, and how far they may be off."""
        registration = self._registration(series, deposit.series)
        here = registration.now(deposit.middle)
        place = registration.at(here) if here is not None else None
        if place is None or place.transform is None or place.residual_mm > MOST_RESIDUAL_MM:
            return None
        inverse = place.transform.GetInverse()
        return np.array([inverse.TransformPoint(p) for p in deposit.sample.tolist()]), place.residual_mm
