"""What the rays of one film cross: line integrals of the body, of its bones, and of each lesion."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from calcreport.phantom.attenuation import attenuation_per_mm
from calcreport.phantom.beam import Beam
from calcreport.phantom.limb import FAT_HU, MUSCLE_HU, FatPlane
from calcreport.phantom.path_lengths import (
    Base,
    Box,
    Map,
    depth_range,
    detector_box,
    enlarged,
    painted_along_rays,
    sheet_length_mm,
    tube_length_mm,
)
from calcreport.phantom.place import Placed
from calcreport.phantom.scene import Body, Paint, Tube, painted_hu
from calcreport.phantom.shapes import Floats

_T = TypeVar("_T")

_UNLIMITED_MM: Final = 1000.0
_FINEST_STEP_MM: Final = 0.3
_MOST_RAYS: Final = 150
"""Rays across a lesion or a solid: a larger one is sampled more coarsely, and interpolated."""
_CORTEX_HU: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocalShadow:
    """A solid in the rays of one film.

    Parameters
    ----------
    box : tuple[slice, slice]
        Part of the detector.
    change : NDArray[np.float32]
        Shape of `box`; what it adds to the line integral, no unit.
    mineral_mm : NDArray[np.float32]
        Shape of `box`; mm of lesion mineral on the ray.
    """

    box: Box
    change: Map
    mineral_mm: Map


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """Line integrals of everything but the lesions, on the whole detector.

    Parameters
    ----------
    attenuation : NDArray[np.float32]
        Line integral of the attenuation, no unit.
    skin_mm, bone_mm, marrow_mm : NDArray[np.float32]
        Length of the ray inside the skin; inside bone or its implants; inside marrow, mm.
    """

    attenuation: Map
    skin_mm: Map
    bone_mm: Map
    marrow_mm: Map


def project_scene(
    beam: Beam, paints: tuple[Paint, ...], bodies: tuple[Body, ...], *, energy_kev: float, shafts_end_mm: float | None
) -> Rays:
    """Project everything but the lesions.

    Parameters
    ----------
    beam : Beam
        Rays.
    paints : tuple[Paint, ...]
        In the order of painting, LPS mm.
    bodies : tuple[Body, ...]
        Those on the film.
    energy_kev : float
        Effective energy, keV.
    shafts_end_mm : float | None
        Height at which long bones end in a joint, LPS z mm; ``None`` without a joint.

    Returns
    -------
    Rays
        Line integrals.
    """
    total, bone, marrow, skin = (np.zeros(beam.shape, dtype=np.float32) for _ in range(4))
    shafts = [shaft for body in bodies for shaft in body.shafts]
    for body in bodies:
        skin += tube_length_mm(beam, body.skin)
    for n, paint in enumerate(paints):
        tube = _made_from(paint, Tube)
        if tube is None:
            continue
        is_shaft = any(tube.centre is shaft.centre for shaft in shafts)
        length = tube_length_mm(beam, tube, high_mm=shafts_end_mm if is_shaft else None)
        total += length * np.float32(_excess(paint, tube, paints[:n], energy_kev))
        if is_shaft:
            np.maximum(bone, length, out=bone)
            if paint.hu < _CORTEX_HU:
                np.maximum(marrow, length, out=marrow)
    for paint in paints:
        plane = _made_from(paint, FatPlane)
        if plane is not None:
            per_mm = attenuation_per_mm(np.array([paint.hu, MUSCLE_HU]), energy_kev)
            total += sheet_length_mm(beam, plane) * np.float32(per_mm[0] - per_mm[1])
    base = surroundings_per_mm(bodies, energy_kev)
    for group in _solids(paints):
        shadow = project_solids(beam, group, base, energy_kev=energy_kev)
        if shadow is None:
            continue
        total[shadow.box] += shadow.change
        if any(p.shape is not None and _is_bone(p, bodies) for p in group):
            bone[shadow.box] += np.maximum(shadow.change, 0) / np.float32(attenuation_per_mm(400.0, energy_kev))
            marrow[shadow.box] += np.maximum(shadow.change, 0) / np.float32(attenuation_per_mm(400.0, energy_kev))
    return Rays(attenuation=total, skin_mm=skin, bone_mm=bone, marrow_mm=marrow)


def _made_from(paint: Paint, kind: type[_T]) -> _T | None:
    """Return what a paint's shape measures itself with, when it is of a kind whose outline can be followed."""
    measure = paint.shape.distance
    owner = measure.__self__ if inspect.ismethod(measure) else None
    return owner if isinstance(owner, kind) else None


def _excess(paint: Paint, tube: Tube, beneath: tuple[Paint, ...], energy_kev: float) -> float:
    """Attenuation of a tube above that of what it is painted over, 1/mm."""
    x, y = tube.centre(np.array(0.0))
    hu, _ = painted_hu(beneath, np.array([[float(x), float(y), 0.0]]))
    values = attenuation_per_mm(np.array([paint.hu, -1000.0 if np.isnan(hu[0]) else hu[0]]), energy_kev)
    return float(values[0] - values[1])


def _is_bone(paint: Paint, bodies: tuple[Body, ...]) -> bool:
    return any(paint.shape is bone for body in bodies for bone in body.bones)


def _solids(paints: tuple[Paint, ...]) -> list[tuple[Paint, ...]]:
    """Solids of limited extent, those that overlap together, each group in the order of painting."""
    groups: list[list[int]] = []
    limited = [n for n, p in enumerate(paints) if np.abs(p.shape.box).max() < _UNLIMITED_MM and not _is_outline(p)]
    for n in limited:
        near = [g for g in groups if any(_overlap(paints[n], paints[m]) for m in g)]
        groups = [g for g in groups if not any(g is other for other in near)]
        groups.append(sorted([n, *(m for g in near for m in g)]))
    return [tuple(paints[n] for n in group) for group in groups]


def _is_outline(paint: Paint) -> bool:
    return _made_from(paint, Tube) is not None or _made_from(paint, FatPlane) is not None


def _overlap(one: Paint, other: Paint) -> bool:
    low = np.maximum(one.shape.box[0], other.shape.box[0])
    return bool((low < np.minimum(one.shape.box[1], other.shape.box[1])).all())


def surroundings_per_mm(bodies: tuple[Body, ...], energy_kev: float) -> Base:
    """Attenuation (1/mm) at points in LPS mm where nothing but muscle, fat and air is."""
    air, fat, muscle = attenuation_per_mm(np.array([-1000.0, FAT_HU, MUSCLE_HU]), energy_kev)

    def base(x: Floats, y: Floats, z: Floats) -> Floats:
        skin = np.min([body.skin.distance(x, y, z) for body in bodies], axis=0)
        fascia = np.min([body.fascia.distance(x, y, z) for body in bodies], axis=0)
        return np.where(fascia < 0, muscle, np.where(skin < 0, fat, air))

    return base


def project_lesion(beam: Beam, lesion: Placed, base: Base, *, energy_kev: float) -> LocalShadow | None:
    """Project one lesion; ``None`` when no ray of the film meets it. `energy_kev` in keV."""
    return project_solids(beam, lesion.piece.paints, base, energy_kev=energy_kev)


def project_solids(beam: Beam, paints: tuple[Paint, ...], base: Base, *, energy_kev: float) -> LocalShadow | None:
    """Project solids painted one over the other on a fine grid of rays; ``None`` when no ray meets them.

    Endless paints among them (the blood in a calcified vessel) count only where the limited ones are.
    """
    boxes = [p.shape.box for p in paints if np.abs(p.shape.box).max() < _UNLIMITED_MM]
    limits = [p.shape.box for p in paints if p.is_mineral] or boxes
    whole = np.array([np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)])
    mineral = np.array([np.min([b[0] for b in limits], axis=0), np.max([b[1] for b in limits], axis=0)])
    # A vessel's tube is longer than its calcified part: only as much of it as lies beside the mineral.
    whole = np.array([np.maximum(whole[0], mineral[0] - 60.0), np.minimum(whole[1], mineral[1] + 60.0)])
    box = detector_box(beam, whole)
    if box is None:
        return None
    size = max(part.stop - part.start for part in box)
    step = max(1, round(size / _MOST_RAYS))
    fineness = max(_FINEST_STEP_MM, step * beam.pixel_mm * 0.8)
    change, length = painted_along_rays(
        beam,
        paints,
        lambda hu: float(attenuation_per_mm(hu, energy_kev)),
        base,
        box=box,
        depths_mm=depth_range(beam, whole),
        steps=(step, fineness),
    )
    return LocalShadow(box=box, change=enlarged(change, box, step), mineral_mm=enlarged(length, box, step))
