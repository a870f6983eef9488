"""One Series Instance UID to stacks: parallel slices of one kind, each position once.

A slice's place in a stack is its Image Position projected on the slice normal (PS3.3 C.7.6.2); Slice Location, Slice
Thickness and Instance Number are not relied on.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import combinations, compress, pairwise
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from calcreport.dicom.header.image_header import ImageHeader, Plane
from calcreport.dicom.series import SeriesFiles

SAME_POSITION_MM: Final = 0.01  # closer slices along the normal lie at one position: real increments start at 0.1 mm
SAME_DIRECTION: Final = 1e-3  # direction cosines within this of each other are parallel (0.06 degrees)
MIN_SLICES: Final = 3  # fewer slices are no volume: one step cannot show that slices are evenly spaced
_UNIT_TOLERANCE: Final = 0.01  # of the length of direction cosines
_MOST_PHASES: Final = 128  # more phases at one position are no plausible dynamic series
_REGULAR: Final = 0.05  # longest less shortest step, as a part of the median
_PIECE_BYTES: Final = 1_048_576  # 1 MiB
_LARGEST_PACKING: Final = 4096  # no codec packs a scan tighter than this

_PHASES: Final = (  # attributes that may tell phases at one position apart, the surest first
    "temporal position", "cardiac phase", "trigger time", "stack", "acquisition number", "contrast agent",
    "tube voltage", "slice thickness", "acquisition time", "content time",
)  # fmt: skip

_FIELD: Final = "field of view"  # looked at last

Part = tuple[str, list[Plane]]  # value of an attribute and the slices that have it
Item = TypeVar("Item")  # images or pieces of them


def split(series: SeriesFiles) -> tuple[SeriesFiles, ...]:
    """Cut a series into stacks, at least one; one with doubtful repeated positions carries a `problem`."""
    found = [stack for name, planes in _by_kind(series.planes) for stack in _by_position(series, name, planes)]
    if len(found) == 1:
        return (replace(found[0], stack=""),)
    return tuple(
        replace(s, notes=(*s.notes, f"The series holds {len(found)} stacks; this is one of them: {s.stack}."))
        for s in _without_interleaving(found)
    )


def _by_kind(planes: Sequence[Plane]) -> list[Part]:
    """Slices by what all of one stack share, with words for what differs between stacks."""
    groups: dict[tuple[str, ...], list[Plane]] = defaultdict(list)
    directions: list[tuple[float, ...]] = []
    for plane in planes:
        pixels, spacing = plane.image.pixels, " x ".join(f"{value:.3f}" for value in plane.spacing_mm or ())
        kinds = (
            ("storage class", plane.image.series.sop_class_uid),
            ("image type", "\\".join(plane.image_type[:4])),
            ("matrix", f"{pixels.columns} x {pixels.rows}"),
            ("pixel spacing", spacing or "none"),
            ("kernel", plane.kernel or "not stated"),
        )
        orientation = f"orientation {_direction_index(plane.orientation, directions) + 1}"
        groups[*map(" ".join, kinds), orientation].append(plane)
    varying = [len(set(words)) > 1 for words in zip(*groups, strict=True)]
    return [(", ".join(compress(kinds, varying)), part) for kinds, part in groups.items()]


def _direction_index(orientation: tuple[float, ...] | None, known: list[tuple[float, ...]]) -> int:
    """Give the number of the orientation among those seen, -1 without one."""
    if orientation is None:
        return -1
    for number, other in enumerate(known):
        if max(abs(a - b) for a, b in zip(orientation, other, strict=True)) <= SAME_DIRECTION:
            return number
    known.append(orientation)
    return len(known) - 1


def normal_of(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Row direction x column direction, shape ``(3,)``, LPS; not normalised."""
    return np.cross(orientation[:3], orientation[3:])


def positions_along_normal(planes: Sequence[Plane]) -> NDArray[np.float64] | None:
    """Position of each slice along the normal of the first, mm, shape ``(n,)``; ``None`` without sound attributes."""
    first = planes[0].orientation
    points = [plane.position_mm for plane in planes if plane.position_mm is not None]
    if first is None or len(points) != len(planes):
        return None
    normal = normal_of(first)
    if abs(float(np.linalg.norm(normal)) - 1) > _UNIT_TOLERANCE:
        return None
    return np.asarray(np.array(points) @ normal)


def _by_position(series: SeriesFiles, name: str, planes: list[Plane]) -> list[SeriesFiles]:

    def stack(part: Sequence[Plane], label: str = "", *notes: str, problem: str | None = None) -> SeriesFiles:
        return replace(
            series,
            planes=tuple(part),
            instances=tuple({id(p.image): p.image for p in part}.values()),
            stack=", ".join(filter(None, (name, label))),
            notes=(*series.notes, *notes),
            problem=series.problem or problem,
        )

    notes: tuple[str, ...] = ()
    copies = copies_of(planes, lambda plane: (plane.image.instance_uid, plane.frame), _are_equal)
    if copies is None:
        return [stack(planes, problem="geometry.conflicting_instances")]
    if copies:
        planes = [plane for plane in planes if id(plane) not in copies]
        notes = (f"{len(copies)} identical copies of images were dropped.",)
    if not _has_repeats(planes):
        return [stack(planes, "", *notes)]
    parts = _by_phase(planes)
    if parts:
        return [stack(part, label, *notes) for label, part in parts]
    kept = _without_equal_pixels(planes)
    if kept is None:
        return [stack(planes, "", *notes, problem="geometry.duplicate_positions")]
    dropped = len(planes) - len(kept)
    return [stack(kept, "", *notes, f"{dropped} images with the pixels of another at the same position were dropped.")]


def steps_of(planes: Sequence[Plane]) -> NDArray[np.float64] | None:
    """Distances between neighbouring slices, mm, in order; ``None`` without two sound positions."""
    positions = positions_along_normal(planes)
    return None if positions is None or len(positions) < 2 else np.diff(np.sort(positions))


def _has_repeats(planes: Sequence[Plane]) -> bool:
    steps = steps_of(planes)
    return steps is not None and bool(steps.min() < SAME_POSITION_MM)


def copies_of(
    items: Sequence[Item], key: Callable[[Item], Hashable], are_equal: Callable[[Item, Item], bool]
) -> set[int] | None:
    """Ids of slices or films that copy an earlier one of the same instance UID; ``None`` when two of one UID differ."""
    seen: dict[Hashable, Item] = {}
    copies: set[int] = set()
    for item in items:
        first = seen.setdefault(key(item), item)
        if first is not item:
            if not are_equal(first, item):
                return None
            copies.add(id(item))
    return copies


def pixel_hash(image: ImageHeader, meaning: Hashable) -> bytes | None:
    """Hash of a file's stored pixel bytes with what gives them meaning; ``None`` when the length is implausible."""
    pixels, source = image.pixels, image.source
    expected = 2 * (pixels.rows or 0) * (pixels.columns or 0) * (pixels.frames or 0)
    if pixels.place is None or expected > source.size * _LARGEST_PACKING:
        return None
    start = pixels.place.offset
    end = min(source.size, start + pixels.place.length)
    if end - start > 2 * expected + _PIECE_BYTES:
        return None
    stored = (pixels.bits_stored, pixels.high_bit, pixels.representation)
    digest = hashlib.sha256(repr((meaning, stored)).encode())
    for offset in range(start, end, _PIECE_BYTES):
        digest.update(source.read(offset, min(_PIECE_BYTES, end - offset)))
    return digest.digest()


def _are_equal(first: Plane, second: Plane) -> bool:
    """Whether two slices lie at one place and hold the same pixels."""
    if first.position_mm != second.position_mm:
        return False
    one, other = (pixel_hash(plane.image, (plane.frame, plane.slope, plane.intercept)) for plane in (first, second))
    return one is not None and one == other


def _in_plane_origin(plane: Plane) -> Hashable:
    """Corner of the slice within its plane, to 0.1 mm: tells two fields of view at one position apart."""
    if plane.position_mm is None or plane.orientation is None:
        return None
    axes = np.array(plane.orientation).reshape(2, 3)
    return tuple(float(value) for value in np.round(axes @ np.array(plane.position_mm), 1))


def _by_phase(planes: list[Plane]) -> list[Part] | None:
    """Parts separated by one attribute, each an evenly spaced stack of its own; ``None`` when no attribute does."""
    for name in (*_PHASES, _FIELD):
        groups: dict[Hashable, list[Plane]] = defaultdict(list)
        for plane in planes:
            groups[_in_plane_origin(plane) if name is _FIELD else dict(plane.phase).get(name)].append(plane)
        if 1 < len(groups) <= _MOST_PHASES and all(map(_is_stack, groups.values())):
            return [(f"{name} {number}", part) for number, part in enumerate(groups.values(), start=1)]
    return None


def _is_stack(planes: Sequence[Plane]) -> bool:
    return not _has_repeats(planes) and _is_regular(planes)


def _is_regular(planes: Sequence[Plane]) -> bool:
    steps = steps_of(planes)
    if steps is None or len(planes) < MIN_SLICES:
        return False
    return bool(np.ptp(steps) <= max(_REGULAR * float(np.median(steps)), SAME_POSITION_MM))


def _without_equal_pixels(planes: Sequence[Plane]) -> list[Plane] | None:
    """Slices with each position once when the others there hold the same pixels; ``None`` when some differ."""
    positions = positions_along_normal(planes)
    if positions is None:
        return None
    dropped: set[int] = set()
    for i, j in pairwise(np.argsort(positions, kind="stable")):
        if positions[j] - positions[i] < SAME_POSITION_MM:
            if not _are_equal(planes[i], planes[j]):
                return None
            dropped.add(int(j))
    return [plane for number, plane in enumerate(planes) if number not in dropped]


def _without_interleaving(stacks: list[SeriesFiles]) -> list[SeriesFiles]:
    """Mark stacks that are evenly spaced only together: then the attribute that separated them separates no stacks."""
    pairs = ((one, other) for one, other in combinations(stacks, 2) if _interleave(other, one))
    suspects = {id(stack) for pair in pairs for stack in pair}
    return [
        replace(stack, problem=stack.problem or "series.interleaved") if id(stack) in suspects else stack
        for stack in stacks
    ]


def _interleave(first: SeriesFiles, second: SeriesFiles) -> bool:
    known: list[tuple[float, ...]] = []
    if [_direction_index(stack.planes[0].orientation, known) for stack in (first, second)] != [0, 0]:
        return False
    a, b = (positions_along_normal(stack.planes) for stack in (first, second))
    if a is None or b is None or not (_is_regular(first.planes) or _is_regular(second.planes)):
        return False
    overlap = min(a.max(), b.max()) - max(a.min(), b.min())
    return bool(overlap > 0) and _is_stack((*first.planes, *second.planes))
