"""Rigid registration of two CT scans of one patient, by SimpleITK.

The whole body is registered first: by correlation over every shift, then by an optimiser. Each place asked for is then
registered by its own neighbourhood, which shrinks from step to step, so that what moves in a joint between moves along.
What two neighbourhoods of different size, other starts, or the bones alone disagree by is the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, TypeVar

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its name everywhere
from scipy import ndimage

from calcreport.anatomy.arrays import Floats, Hu, Mask
from calcreport.model.image import LOWEST_HU, CtVolume
from calcreport.registration.reduce import AIR_HU, WINDOW_HU, Scan, canonical, mask_on, part_of, scan_of

SHIFTS_MM: Final = 8.0  # Grid of the search over all shifts
WHOLE_MM: Final = 5.0  # Grid of the optimiser of the whole: at 8 mm it left a limb 10 mm away, and 43 mm where cut
TURNS_DEG: Final = ((0, 0, 0), (0, 0, 9), (0, 0, -9), (9, 0, 0), (-9, 0, 0), (0, 9, 0), (0, -9, 0))
"""About the three axes, tried until two agree: half of what two positions on a table differ by is left to the
optimiser."""
AGREED_MM: Final = 3.0  # Two turns that lead within this of each other, at the ends of the body, need no third
REGION: Final = (120.0, 5.0)  # Radius of a part of the body that is registered once, and its grid, mm
SHARED_MM: Final = 60.0  # Places within this of the middle of a region begin with its transform
NEIGHBOURHOODS: Final = ((60.0, 2.5), (35.0, 2.0))  # Radius of each neighbourhood of a place and its grid, mm
REUSED_MM: Final = 12.0  # Within this of a place that was registered to `SETTLED_MM`, its transform holds
AGAIN: Final = ((50.0, 2.0), (35.0, 2.0)) * 2  # Further ones, while the last two disagree by more than `SETTLED_MM`
SETTLED_MM: Final = 1.0  # see `AGAIN`
STARTS_MM: Final = tuple(np.eye(3) * 4.0)
"""The last neighbourhood is registered from these places beside too: along what nothing marks, a bone without ends in
muscle without seams, it stays where it began."""
AS_ALIKE: Final = 0.005  # Of the correlation: what ends beside and is no less alike by this may be the place as well
BONE_HU: Final = 220.0  # What is denser is registered by itself, as a check
SOFT_HU: Final = 100.0  # For it all that is less dense is alike
LEAST_BONE: Final = 20  # voxels of both, for a check
WHOLE_SHARE: Final = 0.1  # What lies over each other as a whole counts for so much more likeness than what does not
LEAST_SHARE: Final = 0.3  # Of the greatest overlap of both bodies, for a shift to count: less is alike by chance
LEAST_POINTS: Final = 500  # of a neighbourhood
SKIN_MM: Final = 4.0
"""So far below the skin the body is compared: as air is cut off at `WINDOW_HU`, a slice that is blurred more moves the
skin by its blur, and places within the limb by 1 to 3 mm."""
LEAST_LIKENESS: Final = 0.75
"""Correlation of a neighbourhood, or of its bones, below which it is another place: 0.9 and more between scans of one
patient, bones 0.89 and more, and 0.64 at most where a wrong start kept them from fitting."""
POINTS: Final = 10_000  # of an image that are compared, the same every time: all take three times as long for no more
STEP: Final = 0.4  # First step of the optimiser, of a voxel: longer ones left the place where they began
THREADS: Final = 2  # of SimpleITK

Found = TypeVar("Found")  # what was found at a place
Transform = sitk.Euler3DTransform  # rotation about a centre and a shift
_Images = tuple[sitk.Image, sitk.Image, sitk.Image]  # now, before, and a mask of what is compared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where a place of the present scan lies in the earlier one."""

    transform: Transform | None
    """From LPS mm now to LPS mm before; ``None`` where the scans cannot be registered."""
    residual_mm: float = float("inf")
    """How far the place may be off."""
    likeness: float = 0.0
    """Correlation of its neighbourhood, 0 to 1."""

    def before(self, lps_mm: Floats) -> Floats:
        """Positions in the earlier scan, shape ``(n, 3)``."""
        if self.transform is None:
            msg = "not registered"
            raise ValueError(msg)
        return turned(self.transform, lps_mm)


def turned(transform: Transform, lps_mm: Floats) -> Floats:
    """Positions moved by a transform, shape ``(n, 3)``."""
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    result: Floats = (lps_mm - centre) @ matrix.T + centre + np.array(transform.GetTranslation())
    return result


class Registration:
    """Two scans of one patient; nothing is computed before a place is asked for."""

    def __init__(self, now: CtVolume, before: CtVolume) -> None:
        self._volumes = (now, before)
        self._regions: list[tuple[Floats, Transform]] = []
        self._places: list[tuple[Floats, Place]] = []

    @cached_property
    def scans(self) -> tuple[Scan, Scan]:
        """Bodies of both scans."""
        return scan_of(self._volumes[0]), scan_of(self._volumes[1])

    @cached_property
    def whole(self) -> Transform | None:
        """The whole body registered."""
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
        sitk.ProcessObject.GlobalWarningDisplayOff()  # of starts that are off the scan
        now, before, *fine = (_whole(scan, step_mm) for step_mm in (SHIFTS_MM, WHOLE_MM) for scan in self.scans)
        if now is None or before is None or fine[0] is None or fine[1] is None:
            return None
        (fixed, mask), (moving, moving_mask) = fine[0], fine[1]
        best: tuple[float, Transform | None] = (0.0, None)
        ends = np.array([fixed.TransformIndexToPhysicalPoint(at) for at in product(*((0, n) for n in fixed.GetSize()))])
        for turn in np.radians(TURNS_DEG):
            start = _best_shift(*now, *before, turn)
            if start is None:
                continue
            found, likeness = _optimise(fixed, moving, mask, start, moving_mask=moving_mask)
            last, best = best, max(best, (likeness, found), key=lambda pair: pair[0])
            is_agreed = last[1] is not None and np.abs(turned(last[1], ends) - turned(found, ends)).max() <= AGREED_MM
            if is_agreed and best[0] >= LEAST_LIKENESS:
                break
        return best[1]

    def region(self, middle: Floats) -> Transform | None:
        """Transform of the part of the body around a place of the present scan; places near each other share it."""
        known = _near(self._regions, middle, SHARED_MM)
        if known is not None:
            return known
        images = None if self.whole is None else self._around(middle, *REGION, self.whole, None)
        if self.whole is None or images is None:
            return self.whole
        self._regions.append((middle, _optimise(*images, self.whole)[0]))
        return self._regions[-1][1]

    def now(self, before: Floats) -> Floats | None:
        """About where a place of the earlier scan lies in the present one, LPS mm."""
        whole = self.whole
        region = whole and self.region(np.array(whole.GetInverse().TransformPoint(before.tolist())))
        return None if region is None else np.array(region.GetInverse().TransformPoint(before.tolist()))

    def at(self, middle: Floats, without: Floats | None = None) -> Place:
        """Register the neighbourhood of a place of the present scan, LPS mm.

        `without`: points of what is compared there, shape ``(n, 3)``: its growth is not to move the rest.
        """
        known = _near(self._places, middle, REUSED_MM)
        if known is not None:
            return known
        place = self._registered(middle, without)
        if place.residual_mm <= SETTLED_MM:
            self._places.append((middle, place))
        return place

    def _registered(self, middle: Floats, without: Floats | None) -> Place:
        transform = self.region(middle)
        if transform is None:
            return Place(transform=None)
        there, likeness, apart = turned(transform, middle[None])[0], 0.0, float("inf")
        images: _Images | None = None
        for number, (radius_mm, step_mm) in enumerate((*NEIGHBOURHOODS, *AGAIN)):
            if number >= len(NEIGHBOURHOODS) and apart <= SETTLED_MM:
                break
            around = self._around(middle, radius_mm, step_mm, transform, without)
            if around is None:
                continue
            found, alike = _optimise(*around, transform)
            if alike < LEAST_LIKENESS:
                return Place(transform=None, likeness=alike)
            images, transform, likeness, last = around, found, alike, there
            there = turned(transform, middle[None])[0]
            apart = float(np.linalg.norm(there - last))
        if images is None:
            return Place(transform=None)
        residual_mm = max(apart, _bones_mm(*images, transform), _drift_mm(images, transform, likeness, middle))
        return Place(transform=transform, likeness=likeness, residual_mm=residual_mm)

    def _around(
        self, middle: Floats, radius_mm: float, step_mm: float, transform: Transform, without: Floats | None
    ) -> _Images | None:
        """Images of a neighbourhood now and before, and a mask of what is compared."""
        now, before = self._volumes
        fixed = part_of(now, middle - radius_mm, middle + radius_mm, step_mm)
        there = turned(transform, middle[None])[0]
        reach = radius_mm * 1.25 + 5
        moving = part_of(before, there - reach, there + reach, step_mm)
        if fixed is None or moving is None:
            return None
        body = sitk.GetArrayFromImage(mask_on(self.scans[0], fixed)).astype(bool)
        inner = ndimage.binary_erosion(body, iterations=max(1, round(SKIN_MM / step_mm)), border_value=1)
        places = _places(fixed)
        near = ((places - middle) ** 2).sum(axis=-1) <= radius_mm**2
        if without is not None and len(without):
            low, high = without.min(axis=0) - step_mm, without.max(axis=0) + step_mm
            near &= ~((places >= low) & (places <= high)).all(axis=-1)
        mask = near & (inner if (near & inner).sum() >= LEAST_POINTS else body)  # a finger is skin for the most part
        if mask.sum() < LEAST_POINTS:
            return None
        return fixed, moving, _mask_like(mask, fixed)


def _near(known: Sequence[tuple[Floats, Found]], middle: Floats, reach_mm: float) -> Found | None:
    """What was found at the first of some places that lies within reach."""
    return next((found for place, found in known if float(np.linalg.norm(place - middle)) <= reach_mm), None)


def _whole(scan: Scan, step_mm: float) -> tuple[sitk.Image, sitk.Image] | None:
    points = scan.points if scan.body.any() else np.zeros((1, 3))
    image = part_of(scan.volume, points.min(axis=0) - SHIFTS_MM, points.max(axis=0) + SHIFTS_MM, step_mm)
    if image is None:
        return None
    mask = mask_on(scan, image)
    return canonical(sitk.Mask(image, mask, AIR_HU), step_mm), canonical(mask, step_mm)


def _best_shift(
    fixed: sitk.Image, fixed_mask: sitk.Image, moving: sitk.Image, moving_mask: sitk.Image, turn: Floats
) -> Transform | None:
    """Shift after a turn at which the scans are most alike."""
    turning = Transform()
    turning.SetCenter(moving.TransformContinuousIndexToPhysicalPoint([n / 2 for n in moving.GetSize()]))
    turning.SetRotation(*turn.tolist())
    if turn.any():
        moving = sitk.Resample(moving, moving, turning, sitk.sitkLinear, AIR_HU)
        moving_mask = sitk.Resample(moving_mask, moving_mask, turning, sitk.sitkNearestNeighbor, 0)
    grids = [sitk.Cast(one, sitk.sitkFloat32) for one in (fixed, moving, fixed_mask, moving_mask)]
    for grid in grids:  # the filter shifts grids, wherever they lie
        grid.SetOrigin((0.0, 0.0, 0.0))
    try:
        a, b, in_a, in_b = grids
        found = sitk.MaskedFFTNormalizedCorrelation(a, b, in_a, in_b, requiredFractionOfOverlappingPixels=LEAST_SHARE)
    except RuntimeError:  # one of them holds nothing that could be alike
        return None
    likeness = sitk.GetArrayViewFromImage(found)
    # Along a shaft without ends every shift is as alike: what lays more of the bodies over each other counts more.
    shapes = np.array(fixed.GetSize()[::-1]), np.array(moving.GetSize()[::-1])
    offsets = np.argwhere(np.ones(likeness.shape)) - (shapes[1] - 1)
    shared = (np.minimum(shapes[0], offsets + shapes[1]) - np.maximum(offsets, 0)).prod(axis=1)
    offset = offsets[(likeness.ravel() + WHOLE_SHARE * shared / np.minimum(*shapes).prod()).argmax()]
    # Block `offset` of the present scan lies on the first of the earlier one.
    step = np.array(fixed.GetSpacing())
    there = np.array(fixed.GetOrigin()) + offset[::-1] * step
    shift = np.array(moving.GetOrigin()) - there
    # x before = turn(x now + shift): the same as a turn about the centre less the shift.
    start = Transform()
    start.SetCenter((np.array(turning.GetCenter()) - shift).tolist())
    start.SetRotation(*turn.tolist())
    start.SetTranslation(shift.tolist())
    return start


def _optimise(
    fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image, start: Transform, *, moving_mask: sitk.Image | None = None
) -> tuple[Transform, float]:
    """Best rigid transform near `start`, about the middle of the mask, and the correlation it reaches."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(mask)
    if moving_mask is not None:
        method.SetMetricMovingMask(sitk.BinaryDilate(moving_mask, [1, 1, 1]))
    # Gradients of the image as it is: a smoothed one leads elsewhere.
    method.MetricUseMovingImageGradientFilterOff()
    method.MetricUseFixedImageGradientFilterOff()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, POINTS / max(1, fixed.GetNumberOfPixels())), 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=STEP * min(fixed.GetSpacing()), minStep=0.02, numberOfIterations=60, relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-7,
    )  # fmt: skip
    method.SetOptimizerScalesFromPhysicalShift()
    middle = np.argwhere(sitk.GetArrayViewFromImage(mask)).mean(axis=0)[::-1]
    found = _centred(start, np.array(mask.TransformContinuousIndexToPhysicalPoint(middle.tolist())))
    method.SetInitialTransform(found, inPlace=True)
    try:
        before = method.MetricEvaluate(fixed, moving)
        method.Execute(fixed, moving)
    except RuntimeError:  # the scans no longer overlap
        return start, 0.0
    best = method.GetMetricValue()
    return (found if best <= before else start), float(np.sqrt(max(0.0, -min(best, before))))


def _drift_mm(images: _Images, transform: Transform, likeness: float, middle: Floats) -> float:
    """How far from a place other starts end that are as alike, mm."""
    there, away = turned(transform, middle[None])[0], [0.0]
    for step in STARTS_MM:
        start = _centred(transform, middle)
        start.SetTranslation((there - middle + step).tolist())
        other, alike = _optimise(*images, start)
        if alike >= likeness - AS_ALIKE:
            away.append(float(np.linalg.norm(turned(other, middle[None])[0] - there)))
    return max(away)


def _centred(transform: Transform, centre: Floats) -> Transform:
    """The same transform, with another centre of rotation."""
    result = Transform()
    result.SetCenter(centre.tolist())
    result.SetMatrix(transform.GetMatrix())
    result.SetTranslation((turned(transform, centre[None])[0] - centre).tolist())
    return result


def _places(image: sitk.Image) -> Floats:
    """LPS mm of every voxel, shape ``(slices, rows, columns, 3)``."""
    grid = (image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    places: Floats = sitk.GetArrayFromImage(sitk.PhysicalPointSource(sitk.sitkVectorFloat64, *grid))
    return places


def _mask_like(mask: Mask, like: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.CopyInformation(like)
    return image


def _bones_mm(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image, transform: Transform) -> float:
    """How far bones alone would move what was registered, mm; 0 where there is no bone.

    Surfaces are as far apart as the studies differ in slices, blur and what of a bone they show, wherever it lies.
    """
    laid = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, AIR_HU)
    inside = sitk.GetArrayFromImage(mask).astype(bool)
    bones = [(sitk.GetArrayViewFromImage(one) >= BONE_HU) & inside for one in (fixed, laid)]
    if min(int(bone.sum()) for bone in bones) < LEAST_BONE:
        return 0.0
    near = _mask_like(ndimage.binary_dilation(bones[0] | bones[1], iterations=3) & inside, fixed)
    dense = [sitk.Clamp(one, one.GetPixelID(), SOFT_HU, WINDOW_HU[1]) for one in (fixed, moving)]
    found, likeness = _optimise(dense[0], dense[1], near, transform)
    if likeness < LEAST_LIKENESS:
        return float("inf")
    centre = np.array(found.GetCenter())[None]
    return float(np.linalg.norm(turned(found, centre) - turned(transform, centre)))


def earlier_slice(now: CtVolume, key_slice: int, before: CtVolume, place: Place) -> Hu:
    """HU of the earlier volume where the slice of the present one lies; air where it shows nothing."""
    index = np.argwhere(np.ones((1, *now.hu.shape[1:]), dtype=bool)) + np.array([key_slice, 0, 0])
    there = before.geometry.index(place.before(now.geometry.lps_mm(index)))
    plane = ndimage.map_coordinates(before.hu, there.T, order=1, cval=LOWEST_HU, output=np.int16)
    return np.maximum(plane.reshape(now.hu.shape[1:]), np.int16(LOWEST_HU))
