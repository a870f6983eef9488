"""What the rays of one film cross: line integrals of the body, of its bones, and of each lesion."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np

from calcphantom.attenuation import attenuation_per_mm
from calcphantom.film.beam import Beam
from calcphantom.film.joint import Knee
from calcphantom.film.path_lengths import Box, Map, enlarged, sheet_length_mm, tube_length_mm
from calcphantom.film.ray_samples import (
    Base,
    RayGrid,
    depth_range,
    detector_box,
    painted_along_rays,
    sample_places,
)
from calcphantom.limb import FAT_HU, MUSCLE_HU, FatPlane
from calcphantom.place import Placed
from calcphantom.scene import Body, Paint, Tube, painted_hu
from calcphantom.shapes import Floats

_T = TypeVar("_T")

_UNLIMITED_MM: Final = 1000.0
_SAMPLE_MM: Final = (0.25, 0.6)
"""Samples along a ray: finest and coarsest distance, mm."""
_MOST_RAYS: Final = 150
"""Rays across a lesion or a solid: a larger one is sampled more coarsely, and interpolated."""
_CORTEX_HU: Final = 300.0
_SPONGY_HU: Final = 170.0
_FEMUR_HU: Final = 1100.0
_KNEE_ROW_MM: Final = 0.7
"""Near a joint outlines run obliquely: rows are computed this far apart, mm."""
_LEAST_CHANGE: Final = 0.005
_RAY_MAPS: Final = ("attenuation", "skin_mm", "bone_mm", "marrow_mm")


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
    beam: Beam, paints: tuple[Paint, ...], bodies: tuple[Body, ...], *, energy_kev: float, knee: Knee | None
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
    knee : Knee | None
        The joint at the end of the limb; ``None`` without one.

    Returns
    -------
    Rays
        Line integrals.
    """
    rays = Rays(**{name: np.zeros(beam.shape, dtype=np.float32) for name in _RAY_MAPS})
    for body in bodies:
        rays.skin_mm[:] += tube_length_mm(beam, body.skin)
    for n, paint in enumerate(paints):
        tube, plane = _made_from(paint, Tube), _made_from(paint, FatPlane)
        if tube is not None:
            excess = _excess(paint, tube, paints[:n], energy_kev)
            _add_paint(rays, beam, paint, tube, excess, (bodies, knee, energy_kev))
        elif plane is not None:
            excess = _difference(paint.hu, MUSCLE_HU, energy_kev)
            rays.attenuation[:] += sheet_length_mm(beam, plane) * np.float32(excess)
    base = surroundings_per_mm(bodies, energy_kev)
    if knee is not None:
        _add_femur(rays, beam, knee, energy_kev)
    for group in _solids(paints):
        is_replaced = knee is not None and any(p.shape is knee.replaced for p in group)
        shadow = None if is_replaced else project_solids(beam, group, base, energy_kev=energy_kev)
        if shadow is not None:
            is_bone = any(_is_bone(p, bodies) for p in group)
            _add_solids(rays, shadow, is_bone=is_bone, bone_per_mm=attenuation_per_mm(_CORTEX_HU, energy_kev).item())
    return rays


def _add_paint(
    rays: Rays,
    beam: Beam,
    paint: Paint,
    tube: Tube,
    excess_per_mm: float,
    around: tuple[tuple[Body, ...], Knee | None, float],
) -> None:
    """Add a tube: `around` are the bodies, the joint and the energy (keV)."""
    bodies, knee, energy_kev = around
    shafts = [k for body in bodies for k, shaft in enumerate(body.shafts) if tube.centre is shaft.centre]
    is_marrow = bool(shafts) and paint.hu < _CORTEX_HU
    if knee is None or not shafts:
        _add_tube(rays, tube_length_mm(beam, tube), excess_per_mm, is_shaft=bool(shafts), is_marrow=is_marrow)
        return
    spongy = _difference(_SPONGY_HU, paint.hu, energy_kev) if is_marrow else 0.0
    _add_shaft_of_knee(rays, beam, knee, (tube, shafts[0]), (excess_per_mm, spongy))


def _add_tube(rays: Rays, length: Map, excess_per_mm: float, *, is_shaft: bool, is_marrow: bool) -> None:
    rays.attenuation[:] += length * np.float32(excess_per_mm)
    if is_shaft:
        np.maximum(rays.bone_mm, length, out=rays.bone_mm)
    if is_marrow:
        np.maximum(rays.marrow_mm, length, out=rays.marrow_mm)


def _add_shaft_of_knee(
    rays: Rays, beam: Beam, knee: Knee, part: tuple[Tube, int], excess_per_mm: tuple[float, float]
) -> None:
    """Add a shaft, or its marrow with the spongy bone in its wide end: `part` is the tube and the shaft's number."""
    tube, shaft = part
    wide = knee.widened(tube, shaft)
    length = _knee_length(beam, wide, lambda z: knee.weight(z, shaft))
    is_marrow = excess_per_mm[1] != 0.0
    _add_tube(rays, length, excess_per_mm[0], is_shaft=True, is_marrow=is_marrow)
    if is_marrow:
        spongy = _knee_length(beam, wide, lambda z: knee.weight(z, shaft) * knee.widening(z))
        rays.attenuation[:] += spongy * np.float32(excess_per_mm[1])


def _knee_length(beam: Beam, tube: Tube, weight: Callable[[Floats], Floats]) -> Map:
    return tube_length_mm(beam, tube, weight=weight, row_step_mm=_KNEE_ROW_MM)


def _add_femur(rays: Rays, beam: Beam, knee: Knee, energy_kev: float) -> None:
    for is_marrow, excess in (
        (False, _difference(_FEMUR_HU, MUSCLE_HU, energy_kev)),
        (True, _difference(_SPONGY_HU, _FEMUR_HU, energy_kev)),
    ):
        length = _knee_length(beam, knee.femur(is_marrow=is_marrow), knee.femur_weight)
        _add_tube(rays, length, excess, is_shaft=True, is_marrow=is_marrow)


def _difference(hu: float, beneath_hu: float, energy_kev: float) -> float:
    values = attenuation_per_mm(np.array([hu, beneath_hu]), energy_kev)
    return float(values[0] - values[1])


def _add_solids(rays: Rays, shadow: LocalShadow, *, is_bone: bool, bone_per_mm: float) -> None:
    rays.attenuation[shadow.box] += shadow.change
    if is_bone:
        length = np.where(shadow.change > _LEAST_CHANGE, shadow.change / np.float32(bone_per_mm), 0)
        rays.bone_mm[shadow.box] += length
        rays.marrow_mm[shadow.box] += length


def _made_from(paint: Paint, kind: type[_T]) -> _T | None:
    """Return what a paint's shape measures itself with, when it is of a kind whose outline can be followed."""
    measure = paint.shape.distance
    owner = measure.__self__ if inspect.ismethod(measure) else None
    return owner if isinstance(owner, kind) else None


def _excess(paint: Paint, tube: Tube, beneath: tuple[Paint, ...], energy_kev: float) -> float:
    """Attenuation of a tube above that of what it is painted over, 1/mm."""
    x, y = tube.centre(np.array(0.0))
    hu, _ = painted_hu(beneath, np.array([[float(x), float(y), 0.0]]))
    return _difference(paint.hu, -1000.0 if np.isnan(hu[0]) else float(hu[0]), energy_kev)


def _is_bone(paint: Paint, bodies: tuple[Body, ...]) -> bool:
    return any(paint.shape is bone for body in bodies for bone in body.bones)


def _solids(paints: tuple[Paint, ...]) -> list[tuple[Paint, ...]]:
    """Solids of limited extent, those that lie in each other together, each group in the order of painting."""
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
    """Whether one may lie in the other; wires that only meet at their ends do not."""
    boxes = one.shape.box, other.shape.box
    return any(
        bool(((a[0] + a[1]) / 2 > b[0]).all() and ((a[0] + a[1]) / 2 < b[1]).all()) for a, b in (boxes, boxes[::-1])
    )


def surroundings_per_mm(bodies: tuple[Body, ...], energy_kev: float) -> Base:
    """Attenuation (1/mm) at points in LPS mm where nothing but muscle, fat and air is."""
    air, fat, muscle = attenuation_per_mm(np.array([-1000.0, FAT_HU, MUSCLE_HU]), energy_kev)

    def base(x: Floats, y: Floats, z: Floats) -> Floats:
        skin = np.min([body.skin.distance(x, y, z) for body in bodies], axis=0)
        fascia = np.min([body.fascia.distance(x, y, z) for body in bodies], axis=0)
        return np.asarray(np.where(fascia < 0, muscle, np.where(skin < 0, fat, air)))

    return base


def project_lesion(beam: Beam, lesion: Placed, base: Base, *, energy_kev: float) -> LocalShadow | None:
    """Project one lesion; ``None`` when no ray of the film meets it. `energy_kev` in keV."""
    piece = lesion.piece
    return project_solids(beam, piece.paints, base, energy_kev=energy_kev, finest_mm=piece.finest_mm)


def project_solids(
    beam: Beam, paints: tuple[Paint, ...], base: Base, *, energy_kev: float, finest_mm: float = 2.0
) -> LocalShadow | None:
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
    thinnest = min(float((b[1] - b[0]).min()) for b in boxes)
    near, far = depth_range(beam, whole)
    count = max(2, int(np.ceil((far - near) / np.clip(0.4 * min(thinnest, finest_mm), *_SAMPLE_MM))))
    grid = RayGrid(
        beam=beam,
        rows=sample_places(box[0], step),
        columns=sample_places(box[1], step),
        depths_mm=np.linspace(near, far, count + 1),
    )
    change, length = painted_along_rays(grid, paints, lambda hu: attenuation_per_mm(hu, energy_kev).item(), base)
    return LocalShadow(box=box, change=enlarged(change, box, step), mineral_mm=enlarged(length, box, step))
