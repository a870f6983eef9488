"""Analysis of one film: regions, search, outlines and groups of foci."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.film.alone import standing_alone
from calcreport.film.bone import Bones, find_bones
from calcreport.film.exposure import Exposure, continued, find_exposure
from calcreport.film.foci import FilmFocus, find_foci, find_sheets, search_field
from calcreport.film.judge import Circumstances, FocusKind, judge_focus, may_be_mineral
from calcreport.film.outline import (
    Outline,
    Points,
    diameters,
    group_outlines,
    not_among,
    outline_focus,
    without_repeats,
)
from calcreport.film.reduced import (
    Mask,
    ReducedFilm,
    additive,
    around,
    film_noise,
    film_pixel_mm,
    grown,
    noise_around,
    reduce_film,
)
from calcreport.film.shape import FilmShape, describe_shape
from calcreport.film.views import is_lateral
from calcreport.model.film import FilmImage, FilmReading, FilmSegment, PixelMask, PixelPoint, Shadow
from calcreport.model.report import Excluded, ExclusionReason
from calcreport.processes.threads import map_in_threads

LITTLE_SEARCHED: Final = 0.15  # Below this share of the exposed field the search says next to nothing
_TRUNK: Final = frozenset(
    ("CHEST", "THORAX", "LUNG", "LUNGS", "RIB", "RIBS", "STERNUM", "HEART", "ABDOMEN", "KUB", "ABDOMENPELVIS",
     "CHESTABDOMEN", "TSPINE", "LSPINE", "TLSPINE", "LSSPINE", "SPINE", "WHOLEBODY", "BABYGRAM", "SHOULDER",
     "CLAVICLE", "SCAPULA", "ACJOINT")
)  # fmt: skip
"""Words of Body Part Examined that name the trunk; on phantoms of shoulders bones and ribs are marked."""
_JOINTS: Final = frozenset(
    ("HAND", "HANDS", "FINGER", "FINGERS", "THUMB", "WRIST", "FOOT", "FEET", "TOE", "TOES", "HEEL", "CALCANEUS",
     "ANKLE", "HIP", "HIPS", "PELVIS", "SIJOINT")
)  # fmt: skip
"""Words that name a part of small bones, or of bones wider than a shaft: few of them stand out as a whole."""
_FEWEST_PIXELS: Final = 16  # A plate with fewer pixels a side (6 mm) has no room for a deposit and what lies around it
_AT_BONE_SHARE: Final = 0.05  # share of the outline of a focus at bone from which it projects over bone
_AT_BONE_MM: Final = 1.0  # The outline is at bone that lies nearer, by the blur of both
_BEHIND_MM: Final = 3.0  # A sheet that ends so near to bone goes on behind it, its last millimetres hidden; it is ..
_SHEET: Final = (25.0, 2.0)  # ... as long as this, mm, and its foci are this many times as long as wide
_NEAR_SKIN_MM: Final = 4.0  # greatest distance to air that is measured
_AROUND_MM: Final = 6.0  # margin around a focus in which noise is measured


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilmFinding:
    """A finding on one film."""

    shadow: Shadow
    shape: FilmShape
    """For the pattern."""
    focus_lengths: tuple[float, ...]
    """Longest diameter of each focus, mm; the film's guess of a millimetre without a scale."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parted:
    """A film in its parts: number in the study, reduced film, field and air, bone, noise of a film pixel."""

    film: FilmImage
    number: int
    reduced: ReducedFilm
    exposure: Exposure
    bones: Bones
    noise: float
    skin: Points | None
    """Film pixels at the skin line, shape ``(n, 2)``; ``None`` without one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchedFilm:
    """What came of one film."""

    reading: FilmReading
    findings: tuple[FilmFinding, ...]
    excluded: tuple[Excluded, ...]


def search_film(film: FilmImage, number: int) -> SearchedFilm:
    """Search one film, of index `number` in the study."""
    film = replace(film, intensity=additive(film))
    reduced = reduce_film(film)
    if not reduced.is_imaged.any() or min(reduced.grey.shape) < _FEWEST_PIXELS:
        note = "Nothing of the film could be searched: it is masked, or too small"
        reading = FilmReading(noise=0.0, searched_share=0.0, has_skin_line=False, notes=(note,))
        return SearchedFilm(reading=reading, findings=(), excluded=())
    exposure = find_exposure(reduced)
    reduced = replace(reduced, grey=continued(reduced.grey, exposure.is_exposed))
    is_trunk, has_joints = _names(film, _TRUNK), _names(film, _JOINTS)
    bones = find_bones(reduced, exposure)
    field = np.zeros_like(bones.is_bone) if is_trunk else search_field(reduced, exposure, bones)
    noise = film_noise(film.intensity, field, reduced.factor)
    foci = [] if is_trunk else find_foci(reduced, exposure, bones, field, noise)
    if has_joints:
        foci = standing_alone(reduced, foci)
    elif not is_trunk:
        foci += find_sheets(reduced, exposure, bones, field, noise)
    parted = _Parted(
        film=film,
        number=number,
        reduced=reduced,
        exposure=exposure,
        bones=bones,
        noise=noise,
        skin=_skin_line(reduced, exposure),
    )
    kinds = _judged(parted, foci)
    found = kinds[FocusKind.MINERAL]
    groups = group_outlines([outline for _, outline in found], film_pixel_mm(film))
    findings = tuple(_finding(parted, [found[i] for i in group]) for group in groups)
    # what is found beside many bones stands; what is not found there is not absent
    searched = 0.0 if has_joints else float(field.sum() / max(1, exposure.is_exposed.sum()))
    reading = FilmReading(
        noise=noise,
        searched_share=searched,
        has_skin_line=exposure.has_skin_line,
        notes=_notes(film, exposure, searched),
    )
    return SearchedFilm(reading=reading, findings=findings, excluded=_excluded(film, reduced, bones, kinds))


_Kinds = dict[FocusKind, list[tuple[FilmFocus, Outline]]]  # Foci with their outlines, by kind


def _judged(parted: _Parted, foci: list[FilmFocus]) -> _Kinds:
    """Outline and classify every focus."""
    film, reduced = parted.film, parted.reduced
    obstacles = _obstacles(parted.exposure, parted.bones, foci)
    about = Circumstances(
        noise=parted.noise, spacing_mm=film_pixel_mm(film), body_part=film.view.body_part or "",
        is_lateral=is_lateral(film.view.position),
    )  # fmt: skip

    def judged(focus: FilmFocus) -> tuple[FocusKind, Outline]:
        outline = outline_focus(film.intensity, reduced, focus, obstacles, parted.noise)
        skin_mm = _skin_mm(reduced, parted.exposure, outline)
        near = around(focus.box, reduced.pixels(_AROUND_MM), reduced.factor)
        here = replace(about, noise=max(parted.noise, noise_around(film.intensity, near)))
        return judge_focus(reduced, parted.bones, focus, outline, here, skin_mm), outline

    likely = list(filter(may_be_mineral, foci))
    kinds: _Kinds = {kind: [] for kind in FocusKind}
    for focus, (kind, outline) in zip(likely, map_in_threads(judged, likely), strict=True):
        kinds[kind].append((focus, outline))
    kinds = {kind: without_repeats(pairs) for kind, pairs in kinds.items()}
    _take_back_doubtful(kinds)
    for kind in (FocusKind.PATELLA, FocusKind.FABELLA):
        # one search may see less of a deposit than the other, and take that for a sesamoid
        kinds[kind] = not_among(kinds[kind], kinds[FocusKind.MINERAL])
    return kinds


def _skin_mm(reduced: ReducedFilm, exposure: Exposure, outline: Outline) -> float | None:
    """Distance of an outline to the nearest air, mm, as far as it is near; ``None`` without a skin line."""
    if not exposure.has_skin_line:
        return None
    reach = reduced.pixels(_NEAR_SKIN_MM)
    low, high = (outline.points.min(axis=0) / reduced.factor).astype(int), (outline.points.max(axis=0) / reduced.factor)
    box = tuple(slice(max(0, i - reach), int(j) + reach + 1) for i, j in zip(low, high, strict=True))
    air = np.argwhere(exposure.is_air[box]) + [s.start for s in box]
    if not len(air):
        return _NEAR_SKIN_MM
    some = outline.points[:: max(1, len(outline.points) // 60)] / reduced.factor
    return float(np.sqrt(((some[:, None, :] - air[None, ::2, :]) ** 2).sum(axis=2).min())) * reduced.pixel_mm


def _take_back_doubtful(kinds: _Kinds) -> None:
    """Count ovals beside a knee among the findings again where there are more than a knee has, in place."""
    for kind, most in ((FocusKind.PATELLA, 1), (FocusKind.FABELLA, 2)):
        if len(kinds[kind]) > most:
            kinds[FocusKind.MINERAL] += kinds[kind]
            kinds[kind] = []


def _obstacles(exposure: Exposure, bones: Bones, foci: list[FilmFocus]) -> Mask:
    """What is no surroundings of a focus: bone, air, unexposed margins, and every focus."""
    obstacles: Mask = bones.is_bone | exposure.is_air | ~exposure.is_exposed
    for focus in foci:
        obstacles[focus.box] |= focus.mask
    return obstacles


def _finding(parted: _Parted, pairs: list[tuple[FilmFocus, Outline]]) -> FilmFinding:
    film, spacing_mm = parted.film, film_pixel_mm(parted.film)
    outlines = [outline for _, outline in pairs]
    long, across, skin = _lines(np.concatenate([outline.points for outline in outlines]), parted)
    areas = [float(outline.mask.pixels.sum()) for outline in outlines]
    contrast = float(np.average([outline.contrast for outline in outlines], weights=areas))
    shape = describe_shape(outlines, film.intensity, spacing_mm)
    shadow = Shadow(
        film=parted.number,
        mineral=_joined([outline.mask for outline in outlines]),
        longest=long,
        across=across,
        to_skin_line=skin,
        contrast_to_noise=contrast / max(parted.noise, 1e-6),
        is_over_bone=_is_over_bone(parted, outlines, shape),
        is_cut=any(focus.is_cut for focus, _ in pairs),
    )
    return FilmFinding(
        shadow=shadow,
        shape=shape,
        focus_lengths=tuple(diameters(outline.points * spacing_mm)[0] for outline in outlines),
    )


def _is_over_bone(parted: _Parted, outlines: list[Outline], shape: FilmShape) -> bool:
    """Whether an outline comes to bone; the search ends a little away from bone, and what goes on there is cut off."""
    is_sheet = shape.longest_mm >= _SHEET[0] and shape.elongation >= _SHEET[1]
    bone, reach = parted.bones.is_bone, parted.reduced.pixels(_BEHIND_MM if is_sheet else _AT_BONE_MM)
    near, last = grown(bone, reach), np.array(bone.shape) - 1
    places = [np.clip((each.points / parted.reduced.factor).astype(int), 0, last) for each in outlines]
    return any(float(near[tuple(place.T)].mean()) > _AT_BONE_SHARE for place in places)


def _joined(masks: list[PixelMask]) -> PixelMask:
    low = np.min([mask.offset for mask in masks], axis=0)
    high = np.max([np.add(mask.offset, mask.pixels.shape) for mask in masks], axis=0)
    pixels = np.zeros(tuple(high - low), dtype=bool)
    for mask in masks:
        rows, columns = (slice(s.start - o, s.stop - o) for s, o in zip(mask.box, low, strict=True))
        pixels[rows, columns] |= mask.pixels
    return PixelMask(offset=(int(low[0]), int(low[1])), pixels=pixels)


def _lines(points: Points, parted: _Parted) -> tuple[FilmSegment, FilmSegment, FilmSegment | None]:
    """Longest diameter, widest extent across it, and shortest line to the skin line."""
    film = parted.film
    spacing = np.array(film_pixel_mm(film))
    _length, _across, i, j = diameters(points * spacing)
    start, end = points[i], points[j]
    direction = (end - start) * spacing
    direction /= max(float(np.linalg.norm(direction)), 1e-9)
    normal = np.array([-direction[1], direction[0]])
    aside = (points * spacing) @ normal
    # the line across is drawn square to the longest diameter, from the outermost point on one side
    low = points[int(aside.argmin())]
    foot = low + normal * (float(np.ptp(aside)) / spacing)
    return (
        _segment(start, end, film),
        _segment(low, foot, film),
        None if parted.skin is None else _to_skin(points, parted.skin, film),
    )


def _segment(start: Points, end: Points, film: FilmImage) -> FilmSegment:
    spacing = film.scale.spacing_mm
    return FilmSegment(
        start=_point(start),
        end=_point(end),
        length_px=float(np.linalg.norm(end - start)),
        length_mm=None if spacing is None else float(np.linalg.norm((end - start) * np.array(spacing))),
    )


def _point(values: Points) -> PixelPoint:
    return (float(values[0]), float(values[1]))


def _skin_line(reduced: ReducedFilm, exposure: Exposure) -> Points | None:
    """Air that touches the patient, in pixels of the film; once for all findings."""
    if not exposure.has_skin_line:
        return None
    beside = exposure.is_air & ndimage.binary_dilation(~exposure.is_air)
    return np.asarray(np.argwhere(beside) * reduced.factor + (reduced.factor - 1) / 2)


def _to_skin(points: Points, air: Points, film: FilmImage) -> FilmSegment:
    """Shortest line in the image plane from the outline to where the body ends."""
    spacing = np.array(film_pixel_mm(film))
    some = points[:: max(1, len(points) // 200)]
    best, ends = float("inf"), (some[0], air[0])
    for part in np.array_split(air, max(1, len(air) // 2000)):
        apart = (((some[:, None, :] - part[None, :, :]) * spacing) ** 2).sum(axis=2)
        i, j = np.unravel_index(int(apart.argmin()), apart.shape)
        if apart[i, j] < best:
            best, ends = float(apart[i, j]), (some[i], part[j])
    return _segment(ends[0], ends[1], film)


def _names(film: FilmImage, words: frozenset[str]) -> bool:
    """Whether the header names one of these parts of the body."""
    return not words.isdisjoint((film.view.body_part or "").replace("_", " ").split())


def _notes(film: FilmImage, exposure: Exposure, searched: float) -> tuple[str, ...]:
    if _names(film, _TRUNK):
        return (
            "Radiographs of chest, shoulder and abdomen are not searched: ribs, lungs or bowel lie over soft tissue",
        )
    notes = []
    if _names(film, _JOINTS):
        notes.append(
            "In a hand, foot or hip only compact foci to 10 mm, clear of bone and each other, are distinguished from it"
        )
    elif searched < LITTLE_SEARCHED:
        notes.append(
            f"Only {100 * searched:.0f} % of the exposed field is soft tissue off bone; the rest was not searched"
        )
    if not exposure.has_skin_line:
        notes.append("The skin line is not on the film")
    return tuple(notes)


_EXCLUDED: Final = {
    FocusKind.AT_SKIN: (ExclusionReason.EXTERNAL, "at the skin line: on or in the skin; check the source image"),
    FocusKind.METAL: (ExclusionReason.METAL, "denser than bone by far: metal or a marker"),
    FocusKind.PATELLA: (ExclusionReason.SKELETON, "taken as patella; check the source image"),
    FocusKind.FABELLA: (ExclusionReason.SKELETON, "taken as fabella; check the source image"),
}  # reason and detail of foci that are no findings


def _excluded(film: FilmImage, reduced: ReducedFilm, bones: Bones, kinds: _Kinds) -> tuple[Excluded, ...]:
    rows = []
    if bones.is_bone.any():
        rows.append(
            _row(film, ExclusionReason.SKELETON, "bone in projection", _centre(bones.is_bone, (0, 0), reduced), None)
        )
    for kind, (reason, detail) in _EXCLUDED.items():
        for focus, outline in kinds[kind]:
            centre = _centre(focus.mask, (focus.box[0].start, focus.box[1].start), reduced)
            rows.append(_row(film, reason, detail, centre, outline.points))
    return tuple(rows)


def _row(film: FilmImage, reason: ExclusionReason, detail: str, centre: PixelPoint, points: Points | None) -> Excluded:
    has_scale = film.scale.spacing_mm is not None
    return Excluded(
        reason=reason,
        centroid_lps_mm=None,
        max_diameter_mm=diameters(points * film_pixel_mm(film))[0] if points is not None and has_scale else None,
        volume_mm3=None,
        detail=detail,
        sop_instance_uid=film.reference.sop_instance_uid,
        centroid_px=centre,
        max_diameter_px=None if points is None else diameters(points)[0],
    )


def _centre(mask: Mask, offset: tuple[int, int], reduced: ReducedFilm) -> PixelPoint:
    middle = np.argwhere(mask).mean(axis=0) + offset
    return _point(middle * reduced.factor + (reduced.factor - 1) / 2)
