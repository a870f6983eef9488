"""Bones of a scan at a low limit, whatever limit lesions are looked for at: marrow under cortex, judged in millimetres.

On block means of 1.5 mm ribs, spine, sternum, scapulae and pelvis are a few large components once enhanced blood is
taken out. A component is bone by its architecture (a core fainter than its rim) together with its continuity: it runs
out of the scan with its section, is as long as no lesion with marrow, or lies in the wall of the thorax that surer
bones outline. Density and a cut edge alone never make a bone. Cartilage of the ribs lies in the hull
of ribs, spine and sternum as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from calcreport.anatomy.arrays import Floats, Ints, Mask
from calcreport.anatomy.axial import find_sections
from calcreport.anatomy.body import Body
from calcreport.anatomy.coarse import CoarseVolume, Grid, make_grid, volume_noise_hu
from calcreport.anatomy.labelling import label
from calcreport.anatomy.lumen import MIN_TRUNK_MM2, Outline, find_lumen, find_small_vessels
from calcreport.anatomy.morphology import chosen, dilate, erode, open_planes, outside_planes
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.processes.threads import map_in_threads

CAGE_MM2: Final = 15_000.0  # Bones outline a trunk where their hull in a slab has at least this area …
SLAB_MM: Final = 24.0  # … over this length, which holds parts of several ribs at every side
WALL_MM: Final = 16.0  # Ribs, their cartilage and clavicles lie this close to the hull
CARTILAGE_HU: Final = 85  # density of cartilage at least ...
CARTILAGE_DEVIATIONS: Final = 2.5  # ... and noise deviations by which it is denser than muscle
MUSCLE_HU: Final = 55.0  # density of muscle
MAX_CARTILAGE_MM: Final = 24.0  # Thickness: what is thicker is liver or spleen
MIN_CARTILAGE_MM3: Final = 400.0  # cartilage has this volume; muscle that noise lifts is in smaller bits ...
MIN_TOUCH: Final = 0.02  # ... and meets bone with this share of it


def slabs(grid: Grid) -> list[slice]:
    """Slices of the grid, `SLAB_MM` at a time."""
    step = max(1, round(SLAB_MM / grid.spacing_mm[0]))
    return [slice(start, start + step) for start in range(0, len(grid.hu), step)]


def beyond_hull_mm(bone: Mask, grid: Grid) -> Floats | None:
    """Distance outside the hull of the bones of a slab, negative inside, mm; ``None`` where they outline no trunk."""
    points = np.argwhere(bone.any(axis=0)) * np.array(grid.spacing_mm[1:])
    if len(points) < 3:
        return None
    try:
        hull = ConvexHull(points)
    except QhullError:
        return None
    if hull.volume < CAGE_MM2:
        return None
    rows, columns = (np.arange(n) * mm for n, mm in zip(bone.shape[1:], grid.spacing_mm[1:], strict=True))
    # The greatest of the signed distances from the sides.
    beyond = np.full(bone.shape[1:], -np.inf)
    for a, b, c in hull.equations:
        np.maximum(beyond, a * rows[:, None] + b * columns + c, out=beyond)
    return beyond


def costal_cartilage(grid: Grid, solid: Mask, bone: Mask, main: Mask, *, noise_hu: float, front: int) -> Mask:
    """Cartilage of the ribs with what is calcified in it: bands in the front wall of the trunk that meet bone.

    Of grid shape are `solid`, tissue without enhanced blood, `bone`, and `main`, the body without arms beside it;
    `front` is where the patient's front lies along the rows: -1 at the first row, 1 at the last, 0 at neither.
    """
    hulls = [beyond_hull_mm(bone[planes] & main[planes], grid) for planes in slabs(grid)]
    found = np.zeros_like(bone)
    if not front or all(hull is None for hull in hulls):
        return found
    limit = max(CARTILAGE_HU, round(MUSCLE_HU + CARTILAGE_DEVIATIONS * noise_hu))
    soft = solid & ~bone & (grid.hu >= limit)
    steps = round(MAX_CARTILAGE_MM / 4 / grid.spacing_mm[1])  # a step of a disc has two blocks
    band = open_planes(soft & ~dilate(open_planes(soft, "disc", steps=steps), "disc", steps=2), "cross")
    for planes, hull in zip(slabs(grid), hulls, strict=True):
        if hull is None:
            continue
        middle = np.flatnonzero((bone[planes] & main[planes]).any(axis=(0, 2)))[[0, -1]].mean()
        is_in_front = (np.arange(bone.shape[1]) - middle) * front > 0
        found[planes] = band[planes] & (np.abs(hull) <= WALL_MM) & is_in_front[:, None]
    labels, count = label(found)
    size = np.bincount(labels.ravel(), minlength=count + 1)
    touching = np.bincount(labels[dilate(bone, "square", steps=2)], minlength=count + 1)
    keep = (size * float(np.prod(grid.spacing_mm)) >= MIN_CARTILAGE_MM3) & (touching >= MIN_TOUCH * size)
    # Mineral lies in cartilage, is not most of it: an ossified mass beside a rib is denser.
    keep &= 2 * np.bincount(labels[grid.hu >= BONE_HU], minlength=count + 1) <= size
    return dilate(chosen(labels, keep), "square", within=soft)


BONE_HU: Final = 180  # Block means of spongiosa and of blurred cortex are denser; enhanced muscle and liver fainter
NOISE_DEVIATIONS: Final = 3.0  # In noisy scans the limit stays so many times the noise above muscle
MIN_SECTION_DEPTH_MM: Final = 3.0  # A section with a half thickness below this shows no core at a resolution of 1 mm
CORE_DEPTH: Final = 0.7  # The core of a section lies deeper than this share of its half thickness, its rim less deep
RIM_RATIO: Final = 1.25
"""The rim of bone (85th percentile) is denser than its core (median) by this factor; contrast in bowel and lumps of
mineral have a core as dense as their rim."""
FLUID_HU: Final = (-10.0, 100.0)  # density of fluid, muscle and red marrow; see `FLUID_DEPTH_MM`
FLUID_DEPTH_MM: Final = 7.0
"""A core this deep within these limits may be fluid or muscle in a shell of mineral as well as red marrow, unless the
component runs through the scan; in ribs and small bones blur mixes marrow with the cortex."""
MIN_PLAIN: Final = 0.2
"""Share of the area of its sections that tell marrow from fluid, from which on the others do not count against a bone:
the head of a humerus on its scapula has 0.26; of a spindle with fluid the ends, less than a tenth."""
METAL_HU: Final = 2_000.0  # A core denser than this is a nail in its bone
SAMPLED_SLICES: Final = 8  # slices of a component that are looked at: bones repeat themselves ...
SAMPLED_SECTIONS: Final = 6  # ... and its largest sections in each
MIN_MARROW: Final = 0.55
"""Share of the area of the sections with a core fainter than their rim: 0.7 and more in bones, up to 0.45 in plates
and shells of mineral."""
MIN_BONE_MM3: Final = 250.0  # Smaller pieces do not show their architecture
MIN_CLEAR: Final = 0.01
"""Where blood is enhanced, a bone is denser than it in the means of its blocks or by this share of its voxels; branches
and parenchyma are fainter."""
MIN_CUT_SHARE: Final = 0.3  # Of its largest section a bone runs out of the scan with this share, a lesion with a cap
TIP_SHARE: Final = 0.8  # of its largest section up to which the tip of a bone grows towards the end of the scan
MIN_TIP_MARROW: Final = 0.35  # less of such a tip shows marrow (a coccyx in a noisy scan 0.47)
MIN_THROUGH_MM: Final = 30.0  # In a shorter scan lesions run through as well as bones
THROUGH_MM3: Final = 30_000.0
"""What both ends of the scan cut and is this large runs through it, however small its section is there."""
MIN_LONG_MM: Final = 70.0  # A component with marrow this long is a bone even if it ends inside the scan
MAX_WALL_PIECE_MM: Final = 18.0  # thickness of ribs, costal arch, clavicles and blades in the wall of the trunk at most
# from corner to corner of their box; lesions put into the wall, with or without marrow, reach 45 mm
MIN_WALL_PIECE_MM: Final = 55.0
SCAPULA_MM: Final = 45.0  # a scapula lies this far outside the ribs at most ...
MIN_BLADE_MM: Final = 35.0  # ... a plate of this extent in every direction ...
MIN_BLADE_MARROW: Final = 0.1  # ... whose thick borders show marrow
JOINT_MM: Final = 7.0  # the dense parts of two small bones are this far apart across a joint
CROWD_MM: Final = 30.0  # how near each other the bones of a hand or foot lie
MIN_CROWD: Final = 4  # so many a slice of hand or foot shows there, and no limb (a knee three)
MIN_SMALL_BONE_MM3: Final = 500.0  # volume of the last phalanx of a finger
MIN_EPIPHYSIS_MM3: Final = 10_000.0
"""An epiphysis of femur or tibia, or a condyle, is larger: a smaller piece with marrow in line beyond the end of a bone
may be an ossified tendon."""
PLAQUE_MM: Final = 3.0  # Plaques of a vessel's wall lie this close to its blood
MIN_BODY_MM3: Final = 1_000_000.0  # of so much body or more ...
MIN_BONE_SHARE: Final = 0.01  # ... bones take at least this: 3 % in a thigh, a third of that where fat is thickest
MIN_UPRIGHT: Final = 0.7  # Rows of a picture that lean more than 45 degrees from front to back say nothing of the front
MAX_HOLE_MM2: Final = 3_000.0
"""Enclosed gaps of a slice up to this area are marrow (the end of a femur has 54 x 54 mm); the cranial cavity and the
thorax have ten times as much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoneMap:
    """Bones, cartilage and enhanced blood on a grid of about 1.5 mm."""

    grid: Grid
    bone: Mask
    """Grid shape; bones with their marrow."""
    free: Mask
    """Grid shape; apart from the bones, with marrow like theirs: a patella, or an ossified lesion."""
    cartilage: Mask
    """Grid shape; cartilage of the ribs."""
    lumen: Mask
    """Grid shape; enhanced vessels and heart."""
    lumen_hu: float | None
    """Upper value of the lumen, HU; ``None`` where no enhanced vessel runs through the scan."""
    pools: Mask
    """Grid shape; loops of bowel full of contrast."""
    noise_hu: float
    """Noise of the grid, HU."""
    doubt: str | None
    """Why the skeleton found cannot be the whole; ``None`` where nothing speaks against it."""

    def is_crowded(self, low: Ints, high: Ints) -> bool:
        """Whether a box of the volume (first voxel, and the one after its last) lies among the bones of a hand or foot.

        Bones of ribs and spine, which outline a trunk, are none.
        """
        ends = self.grid.of_fine(np.stack([low, high - 1]))
        return _is_crowd(self.bone[_grown(tuple(slice(a, b + 1) for a, b in ends.T.tolist()), self.grid)], self.grid)

    def on_coarse(self, coarse: CoarseVolume) -> Mask:
        """Coarse mask of the blocks that hold bone."""
        index = np.argwhere(self.bone) * np.array(self.grid.step) + np.array(self.grid.first)
        mask = np.zeros(coarse.hu.shape, dtype=np.bool_)
        mask[tuple(coarse.of_fine(index).T)] = True
        return mask


def find_bone_map(volume: CtVolume, coarse: CoarseVolume, body: Body, fine_noise_hu: float) -> BoneMap:
    """Map bones, cartilage and enhanced blood of a volume; `fine_noise_hu` is the noise of its soft tissue."""
    grid = make_grid(volume, coarse, body.mask)
    noise_hu = volume_noise_hu(grid.hu)
    inside = _on_grid(body.mask, coarse, grid)
    # Arms beside the trunk are no part of its outline.
    main, front = _on_grid(find_sections(body.firm, 1.0).largest(), coarse, grid), _front(volume)
    outline = Outline(body=inside, main=main, front=front)
    lumen = find_lumen(grid, outline, noise_hu)
    limit = max(BONE_HU, round(MUSCLE_HU + NOISE_DEVIATIONS * noise_hu))
    pools = lumen.pools
    # A loop of bowel may lie against the hip bone.
    dense = (grid.hu >= limit) & inside & ~lumen.mask & ~pools
    # Plaques join an aorta to the spine: what lies against blood is left to bone only where bone goes on beside it.
    apart = dense & ~dilate(lumen.mask, "square", steps=grid.steps(PLAQUE_MM))
    pieces = _Pieces(volume, grid, apart, lumen.hu, fine_noise_hu)
    bone = pieces.sure()
    for _ in range(2):
        # What the first pass finds completes the outline for the second.
        bone |= pieces.in_wall(bone, main) | pieces.at_joints(bone, main)
    mask = dilate(bone[pieces.labels], "cross", within=dense)
    mask = _filled(mask, grid) & ~lumen.mask
    solid = inside & ~lumen.mask
    cartilage = costal_cartilage(grid, solid, mask, main, noise_hu=noise_hu, front=front)
    if lumen.hu is None:
        lumen = find_small_vessels(
            grid, volume.hu, outline, mask | cartilage, noise_hu=noise_hu, fine_noise_hu=fine_noise_hu
        )
    return BoneMap(
        grid=grid, bone=mask, cartilage=cartilage, lumen=lumen.mask, lumen_hu=lumen.hu, pools=pools,
        noise_hu=noise_hu,
        free=((pieces.marrow[:, 1] >= MIN_MARROW) & ~bone)[pieces.labels], doubt=_doubt(mask, inside, grid),
    )  # fmt: skip


def _doubt(bone: Mask, inside: Mask, grid: Grid) -> str | None:
    block_mm3 = float(np.prod(grid.spacing_mm))
    body_mm3, share = float(inside.sum()) * block_mm3, float(bone.sum()) / max(float(inside.sum()), 1.0)
    is_enough = body_mm3 < MIN_BODY_MM3 or share >= MIN_BONE_SHARE
    return None if is_enough else f"bones take {share:.1%} of the imaged body, less than any part of the body has"


def _front(volume: CtVolume) -> int:
    """Where the front of the patient lies along the rows: -1 at the first row, 1 at the last, 0 at neither."""
    along = -float(volume.geometry.affine[1, 1]) / volume.geometry.spacing_mm[1]
    return round(along) if abs(along) > MIN_UPRIGHT else 0


def _on_grid(mask: Mask, coarse: CoarseVolume, grid: Grid) -> Mask:
    """A coarse mask on the grid."""
    most = np.arange(max(grid.hu.shape))[:, None] * np.array(grid.step) + np.array(grid.first)
    index = (axis[:n] for axis, n in zip(coarse.of_fine(most).T, grid.hu.shape, strict=True))
    return np.asarray(mask[np.ix_(*index)])


def _filled(bone: Mask, grid: Grid) -> Mask:
    """Bones with the gaps they enclose within a slice, up to `MAX_HOLE_MM2`."""
    holes = find_sections(~outside_planes(bone) & ~bone, grid.spacing_mm[1] * grid.spacing_mm[2])
    return np.asarray(bone | np.append(False, holes.area_mm2 <= MAX_HOLE_MM2)[holes.labels])


def _grown(box: tuple[slice, ...], grid: Grid) -> tuple[slice, ...]:
    steps = np.ceil(CROWD_MM / np.array(grid.spacing_mm)).astype(int)
    return tuple(slice(max(0, s.start - n), s.stop + n) for s, n in zip(box, steps, strict=True))


def _middle_planes(own: Mask, grid: Grid) -> slice:
    """Planes of a piece farther than a joint from both its ends, its middle at least."""
    planes = np.flatnonzero(own.any(axis=(1, 2)))
    margin = min(round(JOINT_MM / grid.spacing_mm[0]), (len(planes) - 1) // 2)
    return slice(int(planes[0]) + margin, int(planes[-1]) + 1 - margin)


def _is_crowd(bone: Mask, grid: Grid) -> bool:
    """Whether a slice shows as many bones as hand or foot has, and they outline no trunk."""
    return max(label(plane)[1] for plane in bone) >= MIN_CROWD and beyond_hull_mm(bone, grid) is None


class _Pieces:
    """Dense components of the grid; every array has one value a label (0: none)."""

    def __init__(self, volume: CtVolume, grid: Grid, dense: Mask, lumen_hu: float | None, noise_hu: float) -> None:
        self.volume, self.grid = volume, grid
        self.labels, count = label(dense, corners=True)
        self.boxes = ndimage.find_objects(self.labels)
        number = np.arange(count + 1)
        self.volume_mm3 = np.bincount(self.labels[dense], minlength=count + 1) * float(np.prod(grid.spacing_mm))
        self.thickness_mm = np.zeros(count + 1)
        inner, steps = dense, 0
        while inner.any() and steps * grid.spacing_mm[1] <= MAX_WALL_PIECE_MM:
            self.thickness_mm[np.unique(self.labels[inner])] = (2 * steps + 1) * grid.spacing_mm[1]
            inner, steps = erode(inner, "cross", beyond=1), steps + 1
        self.peak_hu = np.full(count + 1, LOWEST_HU, dtype=np.int16)
        np.maximum.at(self.peak_hu, self.labels[dense], grid.hu[dense])
        is_clear = self.peak_hu > (LOWEST_HU if lumen_hu is None else lumen_hu)
        if lumen_hu is not None:
            is_clear |= self._share_above(lumen_hu + NOISE_DEVIATIONS * noise_hu) >= MIN_CLEAR
        self.large = [int(i) for i in number[1:] if self.volume_mm3[i] >= MIN_BONE_MM3 and is_clear[i]]
        self.marrow = np.zeros((count + 1, 2))
        if self.large:
            self.marrow[self.large] = map_in_threads(self._marrow, self.large)

    def _share_above(self, limit_hu: float) -> Floats:
        """Share of each component's volume that voxels above a limit take: cortex that the means of blocks dim."""
        count = np.zeros(len(self.volume_mm3))
        for plane, hu in enumerate(self.volume.hu):
            place = np.argwhere(hu > limit_hu)
            index = self.grid.of_fine(np.insert(place, 0, plane, axis=1))
            count += np.bincount(self.labels[tuple(index.T)], minlength=len(count))
        return np.asarray(count * self.volume.geometry.voxel_volume_mm3 / np.maximum(self.volume_mm3, 1.0))

    def sure(self) -> Mask:
        """Bones by marrow and continuity."""
        found, through = np.zeros((2, len(self.volume_mm3)), dtype=np.bool_)
        is_deep = len(self.labels) * self.grid.spacing_mm[0] >= MIN_THROUGH_MM
        for i in self.large:
            ends = self._ends(i)
            is_through = min(ends) >= MIN_CUT_SHARE or (min(ends) > 0 and self.volume_mm3[i] >= THROUGH_MM3)
            through[i] = is_through and self.marrow[i, 0] >= MIN_MARROW
            if is_through and is_deep:
                found[i] = through[i]
            else:
                has_marrow = self.marrow[i, 1] >= (MIN_TIP_MARROW if max(ends) >= TIP_SHARE else MIN_MARROW)
                goes_on = max(ends) >= MIN_CUT_SHARE or self._extent_mm(i).max() >= MIN_LONG_MM or self._at_side(i)
                found[i] = has_marrow and goes_on
        # No part of the body is without bone: what runs through a thin slab is one if there is no other.
        return found if found.any() else through

    def in_wall(self, bone: Mask, main: Mask) -> Mask:
        """Thin pieces in the wall of the trunk that bones outline; `main` of grid shape, the trunk without arms."""
        found = np.zeros(len(bone), dtype=np.bool_)
        wanted = [
            i for i in self.large
            if not bone[i] and self.thickness_mm[i] <= MAX_WALL_PIECE_MM
            and float(np.linalg.norm(self._extent_mm(i))) >= MIN_WALL_PIECE_MM
        ]  # fmt: skip
        mask = bone[self.labels] & main
        for planes in slabs(self.grid):
            middle = {i: (self.boxes[i - 1][0].start + self.boxes[i - 1][0].stop) // 2 for i in wanted}
            here = [i for i in wanted if planes.start <= middle[i] < planes.stop]
            beyond_mm = beyond_hull_mm(mask[planes], self.grid) if here else None
            if beyond_mm is None:
                continue
            for i in here:
                box = self.boxes[i - 1]
                away = beyond_mm[box[1:]][(self.labels[box] == i).any(axis=0)]
                middle_mm = float(np.median(away))
                is_blade = middle_mm <= SCAPULA_MM and self._extent_mm(i).min() >= MIN_BLADE_MM
                is_near = middle_mm <= WALL_MM or (is_blade and self.marrow[i, 0] >= MIN_BLADE_MARROW)
                found[i] = is_near and float(np.percentile(away, 20)) >= -WALL_MM
        return found

    def at_joints(self, bone: Mask, main: Mask) -> Mask:
        """Pieces with marrow a joint apart from one of the many bones of hand or foot, or in line beyond a bone's end.

        Spread fingers are farther apart than `CROWD_MM`: for what follows a bone in line, as a phalanx does, the whole
        slice counts. What is as large as an epiphysis or condyle needs no other bones around. Vertebrae and ribs are
        many bones as well: what lies in a section of `main` (grid shape) as large as a trunk's is in no hand or foot.
        """
        found = np.zeros(len(bone), dtype=np.bool_)
        for i in self.large:
            if bone[i] or self.marrow[i, 0] < MIN_MARROW or self.volume_mm3[i] < MIN_SMALL_BONE_MM3:
                continue
            box = _grown(self.boxes[i - 1], self.grid)
            own, other = self.labels[box] == i, bone[self.labels[box]]
            near = other & (ndimage.distance_transform_edt(~own, sampling=self.grid.spacing_mm) <= JOINT_MM)
            if not near.any():
                continue
            is_in_line = not near[_middle_planes(own, self.grid)].any()
            found[i] = is_in_line and self.volume_mm3[i] >= MIN_EPIPHYSIS_MM3
            is_in_main, block_mm2 = main[box][own].any(), self.grid.spacing_mm[1] * self.grid.spacing_mm[2]
            is_in_trunk = is_in_main and main[box[0]].sum(axis=(1, 2)).mean() * block_mm2 >= MIN_TRUNK_MM2
            if not found[i] and not is_in_trunk:
                # A hand may lie beside a trunk; the ribs of a shoulder's own section outline one.
                part = bone[self.labels[box[0]]] & (main[box[0]] == is_in_main)
                wide = self.labels[box[0]] if is_in_line else self.labels[box]
                found[i] = _is_crowd(bone[wide] | (wide == i), self.grid) and beyond_hull_mm(part, self.grid) is None
        return found

    def _extent_mm(self, i: int) -> Floats:
        return np.asarray([s.stop - s.start for s in self.boxes[i - 1]] * np.array(self.grid.spacing_mm))

    def _ends(self, i: int) -> tuple[float, float]:
        """Section of a component in the first and last slice of the scan, as a share of its largest section."""
        box = self.boxes[i - 1]
        area = (self.labels[box] == i).sum(axis=(1, 2)) / 1.0
        first, last = box[0].start == 0, box[0].stop == len(self.labels)
        return float(first * area[0] / area.max()), float(last * area[-1] / area.max())

    def _at_side(self, i: int) -> bool:
        """Whether a component leaves the scan through the side of the picture."""
        sides = zip(self.boxes[i - 1][1:], self.labels.shape[1:], strict=True)
        return any(s.start == 0 or s.stop == n for s, n in sides)

    def _marrow(self, i: int) -> tuple[float, float]:
        """Shares of a component's sections, by area, with a core fainter than their rim: at all, and surely marrow.

        The second is of the sections that tell marrow from fluid, where these are enough.
        """
        box = self.boxes[i - 1]
        planes = np.unique(np.linspace(box[0].start, box[0].stop - 1, SAMPLED_SLICES).round().astype(int))
        found = np.array([s for plane in planes for s in self._sections(i, int(plane))]).reshape(-1, 3)
        possible, sure = found[:, 0] @ found[:, 1:] / max(float(found[:, 0].sum()), 1.0)
        plain = 1.0 - float(possible - sure)
        return float(possible), float(sure) / (plain if plain >= MIN_PLAIN else 1.0)

    def _sections(self, i: int, plane: int) -> list[tuple[float, bool, bool]]:
        """Of the largest sections of a component in a slice: area, mm2; whether the core is fainter; surely marrow."""
        step, spacing = self.grid.step, self.volume.geometry.spacing_mm
        box = self.boxes[i - 1]
        solid = ~outside_planes(np.pad(self.labels[plane, box[1], box[2]] == i, 1)[None])[0, 1:-1, 1:-1]
        fine = min(plane * step[0] + step[0] // 2, self.volume.hu.shape[0] - 1)
        parts, _ = label(solid)
        area, places, found = np.bincount(parts.ravel())[1:], ndimage.find_objects(parts), []
        for n in np.argsort(-area, kind="stable")[:SAMPLED_SECTIONS]:
            area_mm2 = float(area[n]) * self.grid.spacing_mm[1] * self.grid.spacing_mm[2]
            if area_mm2 < np.pi * MIN_SECTION_DEPTH_MM**2:
                break
            own = (parts[places[n]] == n + 1).repeat(step[1], 0).repeat(step[2], 1)
            top = (box[1].start + places[n][0].start) * step[1] + self.grid.first[1]
            left = (box[2].start + places[n][1].start) * step[2] + self.grid.first[2]
            hu = self.volume.hu[fine, top : top + own.shape[0], left : left + own.shape[1]]
            own = own[: hu.shape[0], : hu.shape[1]]
            depth = ndimage.distance_transform_edt(np.pad(own, 1), sampling=spacing[1:])[1:-1, 1:-1]
            deepest = float(depth.max())
            core = depth >= CORE_DEPTH * deepest
            if deepest < MIN_SECTION_DEPTH_MM or (core == own).all():
                continue
            rim_hu, core_hu = float(np.percentile(hu[own & ~core], 85)), float(np.median(hu[core]))
            is_fluid = deepest > FLUID_DEPTH_MM and FLUID_HU[0] < core_hu < FLUID_HU[1]
            has_marrow = rim_hu > RIM_RATIO * core_hu or core_hu > METAL_HU
            found.append((area_mm2, has_marrow, has_marrow and not is_fluid))
        return found
