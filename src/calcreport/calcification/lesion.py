"""One lesion measured: from grouped foci, or from a reader's contour and the mineral inside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Ints
from calcreport.anatomy.body_map import BodyMap
from calcreport.anatomy.components import Box, box_of, paint
from calcreport.calcification.depth import Distances, Layers, fascia_distance, read_depth, typical_fascia_distance
from calcreport.calcification.detect import Detection
from calcreport.calcification.edges import Surface, crossings, find_surface
from calcreport.calcification.foci import Focus, lies_in_contour
from calcreport.calcification.group import Group
from calcreport.calcification.patterns.features import Surroundings, describe
from calcreport.calcification.patterns.pattern import pattern_table, read_pattern
from calcreport.calcification.size import (
    NO_BLUR,
    as_point,
    axes_in_slice,
    measure_size,
    outline_lengths,
    series_blur,
)
from calcreport.calcification.skin import skin_distance
from calcreport.model.drawn import DrawnOutline, outline_of_voxels
from calcreport.model.image import Acquisition, CtVolume
from calcreport.model.lesion import LesionContour, MeasuredLesion, Segment, VoxelMask
from calcreport.model.report import (
    BoneRelation,
    Confidence,
    Density,
    Depth,
    Foci,
    KeyImage,
    Location,
    Mass,
    Pattern,
    Size,
    Thresholds,
    YesNo,
)
from calcreport.model.terms import DEEP, DEPTH_ORDER, INDETERMINATE_PATTERN, Laterality
from calcreport.settings import DetectionSettings

MARGIN_MM: Final = 14.0  # Box around a lesion: its surface, and the tissue it lies in …
LARGE_MM: Final = 60.0  # ... of which a lesion larger than this ...
LARGE_MARGIN_MM: Final = 6.0  # ... needs less
CONTOUR_PAD: Final = 3  # voxels around a contour before it is smoothed
CONTOUR_SMOOTHING: Final = 0.7  # Smoothing of a contour's voxels, in voxels: just enough to take the corners off
NEAR_LIMIT: Final = 1.5
"""A deposit of which three quarters lie below this multiple of the growth limit hardly exceeds it: on phantoms three of
five such had further parts that stay below it."""
ABUT_GAP_MM: Final = 2.5  # Mineral and bone nearer than this touch as far as CT can tell
# Pattern of a contour without mineral.
NO_MINERAL: Final = Pattern(
    id=INDETERMINATE_PATTERN, label="no mineral above the threshold inside the contour", confidence=Confidence.LOW,
    scores={}, features={"morphology": "none"},
)  # fmt: skip
# Note on a deposit at the top of the scale.
CLIPPED: Final = "Attenuation is clipped at the top of the scale; mean and maximum are lower bounds."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurer:
    """Measures the lesions of one series."""

    volume: CtVolume
    acquisition: Acquisition
    layers: Layers
    body_map: BodyMap
    detection: Detection
    noise_hu: float
    limits: Thresholds
    settings: DetectionSettings

    def group(self, group: Group) -> MeasuredLesion:
        """Measure a lesion made of foci."""
        box, surface = self._surface_of(group.foci)
        return self._mineral_lesion(group.foci, box, surface, is_vessel_chain=group.is_vessel_chain)

    def contour(self, contour: LesionContour) -> MeasuredLesion:
        """Measure a reader's contour, and the mineral inside it."""
        geometry = self.volume.geometry
        solid = np.pad(contour.mask.voxels, CONTOUR_PAD)
        # A staircase of voxels is longer from corner to corner than the contour it came from.
        field = ndimage.gaussian_filter(solid.astype(np.float32), CONTOUR_SMOOTHING) - np.float32(0.5)
        if not (field > 0).any():
            field = np.where(solid, np.float32(1), np.float32(-1))  # a few voxels: nothing would be left
        points, axis = crossings(field)
        points_mm = geometry.lps_mm(points - CONTOUR_PAD + np.array(contour.mask.offset))
        surface = Surface(inside=solid, points=points, axis=axis)
        key, axial, _ = axes_in_slice(surface, points_mm, geometry, NO_BLUR)
        longest, extents_mm, uncertainty_mm = outline_lengths(contour.outline or self._own_outline(contour), geometry)
        volume_mm3 = float(contour.mask.voxels.sum()) * geometry.voxel_volume_mm3
        voxels = np.argwhere(contour.mask.voxels) + np.array(contour.mask.offset)
        mineral = (*self.detection.foci, *self.detection.inner)
        foci = tuple(f for f in mineral if lies_in_contour(self.detection.components, (contour,), f))
        depth, to_skin, to_fascia = self._depth(points_mm, voxels)
        key_slice = key - CONTOUR_PAD + contour.mask.offset[0]
        inner = self.group(Group(foci=foci)) if foci else None
        # A mass on both sides of the fascia is deep already, wherever its mineral lies.
        if (
            inner
            and depth.class_ not in DEEP
            and DEPTH_ORDER.index(inner.depth.class_) > DEPTH_ORDER.index(depth.class_)
        ):
            depth = depth.model_copy(
                update={"class_": inner.depth.class_, "reason": f"as the mineral in it: {inner.depth.reason}"}
            )
        mineral_mm3 = inner.size.volume_mm3 if inner else 0.0
        mass = Mass(
            present=YesNo.YES, max_diameter_mm=longest.length_mm, ap_mm=float(extents_mm[1]),
            tr_mm=float(extents_mm[0]), cc_mm=float(extents_mm[2]), volume_mm3=volume_mm3, depth_class=depth.class_,
            mineral_fraction=(mineral_mm3 or 0.0) / max(volume_mm3, 1e-9), source="contour",
            uncertainty_mm=uncertainty_mm, is_minimum=contour.is_cut,
        )  # fmt: skip
        location = self._location(points_mm, voxels, inner.key_slice if inner else key_slice)
        bare = inner or MeasuredLesion(
            size=Size(is_minimum=False), foci=Foci(count=0), mass=mass, density=Density(), depth=depth,
            pattern=NO_MINERAL, bone_relation=BoneRelation.CANNOT_DETERMINE, location=location,
            mineral=None, key_slice=key_slice, longest=longest, axial_longest=axial,
        )  # fmt: skip
        return replace(
            bare, mass=mass, depth=depth, location=location, contour=contour.mask, to_skin=to_skin,
            to_fascia=to_fascia, notes=(*contour.notes, *bare.notes),
        )  # fmt: skip

    def _own_outline(self, contour: LesionContour) -> DrawnOutline:
        """Surface of a contour that was drawn on the CT's own grid."""
        affine = self.volume.geometry.affine.copy()
        affine[:3, 3] = self.volume.geometry.lps_mm(np.array(contour.mask.offset))
        return outline_of_voxels(contour.mask.voxels, affine)

    def _surface_of(self, foci: tuple[Focus, ...]) -> tuple[Box, Surface]:
        """Box around some foci, and their surface."""
        components = self.detection.components
        members = np.array([f.component for f in foci])
        spacing = np.array(self.volume.geometry.spacing_mm)
        low, high = components.around(members, np.zeros(3, dtype=np.int64))
        margin_mm = LARGE_MARGIN_MM if ((high - low) * spacing).max() > LARGE_MM else MARGIN_MM
        box = box_of(*components.around(members, np.ceil(margin_mm / spacing).astype(int)))
        around = ([f.background_hu for f in foci], [f.background_sd_hu for f in foci])
        background, noise = (float(np.average(values, weights=[f.volume_mm3 for f in foci])) for values in around)
        return box, find_surface(
            self.volume.hu[box], paint(components, members, box), background_hu=background,
            noise_hu=min(noise, 2 * self.noise_hu), spacing_mm=self.volume.geometry.spacing_mm,
        )  # fmt: skip

    def _mineral_lesion(
        self, foci: tuple[Focus, ...], box: Box, surface: Surface, *, is_vessel_chain: bool
    ) -> MeasuredLesion:
        geometry = self.volume.geometry
        offset = np.array([s.start for s in box])
        points_mm = geometry.lps_mm(surface.points + offset)
        is_minimum = any(f.touches_border for f in foci)
        is_near_limit = float(np.percentile(self.volume.hu[box][surface.inside], 75)) < NEAR_LIMIT * self.limits.grow
        blur = series_blur(geometry, self.acquisition.slice_thickness_mm)
        size, longest, key, axial = measure_size(
            surface, points_mm, geometry=geometry, blur=blur, is_minimum=is_minimum, is_near_limit=is_near_limit
        )
        voxels = np.argwhere(surface.inside) + offset
        bone_gap_mm = min(f.bone_gap_mm for f in foci)
        depth, to_skin, to_fascia = self._depth(points_mm, voxels, bone_gap_mm=bone_gap_mm)
        density = self._density(self.volume.hu[box][surface.inside].astype(np.float64))
        known = Surroundings(
            longest_mm=longest.length_mm, layer=depth.class_, bone_gap_mm=bone_gap_mm,
            to_fascia_mm=typical_fascia_distance(self.layers, voxels), is_vessel_chain=is_vessel_chain,
            noise_hu=self.noise_hu,
        )  # fmt: skip
        features = describe(self.volume.hu[box], surface.inside, geometry, known)
        key_slice = key + int(offset[0])
        location = self._location(points_mm, voxels, key_slice)
        pattern = read_pattern(
            features, geometry=geometry, slice_thickness_mm=self.acquisition.slice_thickness_mm,
            region=f"{self.acquisition.body_part or ''} {location.region or ''}".strip(),
            table=pattern_table(self.settings.patterns),
        )  # fmt: skip
        return MeasuredLesion(
            size=size, foci=Foci(count=features.foci_count, largest_max_diameter_mm=features.largest_focus_mm),
            mass=Mass(), density=density, depth=depth, pattern=pattern, bone_relation=_bone_relation(bone_gap_mm),
            location=location, notes=(CLIPPED,) if density.is_clipped else (),
            mineral=VoxelMask(offset=(int(offset[0]), int(offset[1]), int(offset[2])), voxels=surface.inside),
            key_slice=key_slice, longest=longest, axial_longest=axial, to_skin=to_skin, to_fascia=to_fascia,
        )  # fmt: skip

    def _density(self, values: Floats) -> Density:
        """Attenuation of the voxels inside a surface, HU, at least one."""
        peak, ceiling = float(values.max()), self.volume.ceiling_hu
        return Density(
            mean_hu=float(values.mean()), max_hu=peak, p95_hu=float(np.percentile(values, 95)),
            sd_hu=float(values.std()), is_clipped=ceiling is not None and peak >= ceiling,
            is_certain=peak >= self.settings.seed_none_hu,
        )  # fmt: skip

    def _depth(
        self, points_mm: Floats, voxels: Ints, *, bone_gap_mm: float | None = None
    ) -> tuple[Depth, Segment | None, Segment | None]:
        """Depth and what it was read from, of mineral with its gap to bone, or of a whole lesion."""
        to_skin, reason = skin_distance(self.layers.skin, points_mm)
        to_fascia = fascia_distance(self.layers, points_mm)
        gap_mm = float("inf") if bone_gap_mm is None else bone_gap_mm
        distances = Distances(to_skin=to_skin, to_fascia=to_fascia, skin_reason=reason, bone_gap_mm=gap_mm)
        return read_depth(self.layers, voxels, distances, is_mass=bone_gap_mm is None), to_skin, to_fascia

    def _location(self, points_mm: Floats, voxels: Ints, key_slice: int) -> Location:
        centroid = self.volume.geometry.lps_mm(voxels.mean(axis=0))
        references = self.volume.slices[int(voxels[:, 0].min()) : int(voxels[:, 0].max()) + 1]
        numbers = [r.instance_number for r in references if r.instance_number is not None]
        key = self.volume.slices[key_slice]
        place = self.body_map.place(centroid, self.acquisition.body_part)
        side, source = place.laterality, None if place.laterality is Laterality.UNKNOWN else "image"
        if source is None and self.acquisition.laterality in {"left", "right"}:
            side, source = Laterality(self.acquisition.laterality), "header"
        return Location(
            centroid_lps_mm=as_point(centroid),
            bbox_lps_mm=(as_point(points_mm.min(0)), as_point(points_mm.max(0))),
            laterality=side,
            laterality_source=source,
            region=place.region,
            region_source="image" if place.region else None,
            first_image=min(numbers) if numbers else None,
            last_image=max(numbers) if numbers else None,
            key_image=KeyImage(
                sop_instance_uid=key.sop_instance_uid, instance_number=key.instance_number, frame=key.frame
            ),
        )


def _bone_relation(gap_mm: float) -> BoneRelation:
    if gap_mm == 0:
        return BoneRelation.CONTIGUOUS
    return BoneRelation.ABUTS if gap_mm <= ABUT_GAP_MM else BoneRelation.SEPARATE
