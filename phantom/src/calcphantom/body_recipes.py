"""Recipes of chest, abdomen, shoulder, hand and foot, drawn at random with the traps of real scans."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.recipe import (
    WHOLE_BODY_REGIONS,
    Extra,
    Kernel,
    Layer,
    LesionRecipe,
    PhantomRecipe,
    Region,
    ScanRecipe,
)
from calcreport.model.image import Contrast

_THIN_MUSCLE: Final = (
    ("P09", 5.0, 16.0),
    ("P05", 12.0, 18.0),
    ("P20", 35.0, 60.0),
    ("P01", 4.0, 8.0),
    ("P27", 12.0, 18.0),
)
_THICK_MUSCLE: Final = (
    ("P09", 5.0, 28.0), ("P05", 14.0, 38.0), ("P06", 15.0, 28.0), ("P07", 22.0, 48.0), ("P20", 40.0, 80.0),
    ("P22", 16.0, 28.0), ("P23", 20.0, 25.0), ("P24", 14.0, 22.0), ("P25", 10.0, 18.0), ("P27", 14.0, 36.0),
)  # fmt: skip
_FAT: Final = (("P09", 5.0, 18.0), ("P12", 14.0, 26.0), ("P19", 5.0, 11.0), ("P26", 14.0, 28.0))
_SMALL_PART: Final = (("P09", 4.0, 8.0), ("P12", 9.0, 13.0), ("P01", 4.0, 6.0), ("P05", 7.0, 10.0))
_FINGER: Final = (("P09", 4.0, 7.0), ("P01", 4.0, 5.5))
_TENDON: Final = (("P15", 8.0, 20.0),)
"""Pattern, smallest and largest diameter, mm."""

Choice = tuple[str, tuple[tuple[str, float, float], ...], Layer]

_SITES: Final[Mapping[Region, tuple[Choice, ...]]] = MappingProxyType(
    {
        Region.THORAX: (
            ("pectoral", _THIN_MUSCLE, Layer.SUBFASCIAL),
            ("lateral chest wall", _THIN_MUSCLE, Layer.SUBFASCIAL),
            ("anterior chest fat", _FAT, Layer.SUBCUTANEOUS),
            ("lateral chest fat", _FAT, Layer.SUBCUTANEOUS),
            ("back fat", _FAT, Layer.SUBCUTANEOUS),
            ("paraspinal chest", _THICK_MUSCLE, Layer.SUBFASCIAL),
        ),
        Region.ABDOMEN: (
            ("abdominal wall", _THIN_MUSCLE, Layer.SUBFASCIAL),
            ("abdominal wall fat", _FAT, Layer.SUBCUTANEOUS),
            ("back fat", _FAT, Layer.SUBCUTANEOUS),
            ("paraspinal lumbar", _THICK_MUSCLE, Layer.SUBFASCIAL),
            ("gluteal", _THICK_MUSCLE, Layer.SUBFASCIAL),
        ),
        Region.SHOULDER: (
            ("deltoid", _THICK_MUSCLE, Layer.SUBFASCIAL),
            ("rotator cuff", _TENDON, Layer.SUBFASCIAL),
            ("upper arm", _THICK_MUSCLE, Layer.SUBFASCIAL),
            ("upper arm fat", _FAT, Layer.SUBCUTANEOUS),
        ),
        Region.HAND: (("finger", _FINGER, Layer.SUBCUTANEOUS), ("palm", _SMALL_PART, Layer.SUBFASCIAL)),
        Region.FOOT: (
            ("sole", _SMALL_PART, Layer.SUBCUTANEOUS),
            ("foot muscle", _SMALL_PART, Layer.SUBFASCIAL),
            ("ankle fat", _SMALL_PART, Layer.SUBCUTANEOUS),
        ),
    }
)
"""Places of each region, without their side, and what may lie there."""

_EXTRAS: Final[Mapping[Region, tuple[tuple[Extra, float], ...]]] = MappingProxyType(
    {
        Region.THORAX: (
            (Extra.OLD_CARTILAGE, 0.5), (Extra.PLAQUES, 0.5), (Extra.AIRWAY_MINERAL, 0.35), (Extra.ORGAN_MINERAL, 0.35),
            (Extra.INJECTED_VEIN, 0.35), (Extra.CUT_FIELD, 0.3), (Extra.LEAD, 0.2), (Extra.STONES, 0.2),
        ),
        Region.ABDOMEN: (
            (Extra.OLD_CARTILAGE, 0.4), (Extra.PLAQUES, 0.55), (Extra.STONES, 0.4), (Extra.ORGAN_MINERAL, 0.4),
            (Extra.BOWEL_CONTRAST, 0.35), (Extra.EXCRETED_CONTRAST, 0.3), (Extra.PILLS, 0.25), (Extra.CLIPS, 0.2),
            (Extra.CUT_FIELD, 0.2),
        ),
        Region.SHOULDER: ((Extra.PLAQUES, 0.3), (Extra.INJECTED_VEIN, 0.3), (Extra.OLD_CARTILAGE, 0.4)),
        Region.HAND: ((Extra.SPREAD_FINGERS, 0.6),),
        Region.FOOT: (),
    }
)  # fmt: skip
"""What else may lie there, and its chance."""
_NEEDS_CONTRAST: Final = frozenset({Extra.INJECTED_VEIN, Extra.EXCRETED_CONTRAST})
_TRUNK: Final = frozenset({Region.THORAX, Region.ABDOMEN})


def body_recipe(seed: int, region: Region, *, has_lesions: bool) -> PhantomRecipe:
    """Draw a study of a region; the same seed gives the same recipe.

    Parameters
    ----------
    seed : int
        Drives everything.
    region : Region
        One of `WHOLE_BODY_REGIONS`.
    has_lesions : bool
        ``False`` draws the anatomy with its incidental mineral only.

    Returns
    -------
    PhantomRecipe
        One to three lesions in different places, or none.
    """
    rng = np.random.default_rng([seed, 11, WHOLE_BODY_REGIONS.index(region)])
    scan = _scan(region, rng)
    extras = [e for e, chance in _EXTRAS[region] if rng.uniform() < chance]
    if scan.contrast is Contrast.NONE:
        extras = [e for e in extras if e not in _NEEDS_CONTRAST]
    if region is Region.SHOULDER:
        extras.insert(0, Extra.ARMS_DOWN)
    if region in _TRUNK:
        extras.insert(0, Extra.ARMS_DOWN if rng.uniform() < 0.35 else Extra.ARMS_UP)
    lesions = _lesions(region, rng) if has_lesions else ()
    longest = max((max(x.diameter_mm, x.mass_mm or 0.0) for x in lesions), default=20.0)
    is_old = bool({Extra.OLD_CARTILAGE, Extra.PLAQUES} & set(extras))
    length = float(rng.uniform(120, 250)) if region in _TRUNK else float(rng.uniform(110, 170))
    return PhantomRecipe(
        kind="random" if has_lesions else "random-negative",
        region=region,
        seed=seed,
        lesions=lesions,
        extras=tuple(extras),
        scan=scan,
        length_mm=max(length, longest * 1.25 + 40.0),
        fat_mm=_fat_mm(region, lesions, rng),
        laterality="left" if rng.uniform() < 0.5 else "right",
        description=f"CT {region.value} phantom",
        age_years=int(rng.integers(56, 92) if is_old else rng.integers(18, 60)),
        sex="F" if rng.uniform() < 0.5 else "M",
    )


def _lesions(region: Region, rng: np.random.Generator) -> tuple[LesionRecipe, ...]:
    sites = _SITES[region]
    count = min(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15])), len(sites))
    found = []
    for number in rng.permutation(len(sites))[:count]:
        name, patterns, layer = sites[int(number)]
        pattern, low, high = patterns[int(rng.integers(len(patterns)))]
        site = f"{'left' if rng.uniform() < 0.5 else 'right'} {name}" if region in _TRUNK else name
        hu_low, hu_high = {"P06": (200.0, 300.0), "P07": (850.0, 1200.0)}.get(pattern, (280.0, 800.0))
        found.append(
            LesionRecipe(
                pattern=pattern,
                diameter_mm=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
                layer=layer,
                hu=float(rng.uniform(hu_low, hu_high)),
                site=site,
            )
        )
    return tuple(found)


def _fat_mm(region: Region, lesions: tuple[LesionRecipe, ...], rng: np.random.Generator) -> float:
    """Thickness of the fat: thin to obese, and room for the lesions meant to lie in it."""
    thin, thick = {Region.HAND: (2.0, 4.0), Region.FOOT: (7.0, 12.0), Region.SHOULDER: (5.0, 22.0)}.get(
        region, (6.0, 34.0)
    )
    wanted = [
        0.6 * x.diameter_mm + 6.0
        for x in lesions
        if x.layer is Layer.SUBCUTANEOUS and region not in {Region.HAND, Region.FOOT}
    ]
    return float(max([rng.uniform(thin, thick), *wanted]))


def _scan(region: Region, rng: np.random.Generator) -> ScanRecipe:
    """Draw scanner settings: routine, thin lung kernel, or the coarse grid of a PET/CT."""
    phases = (Contrast.NONE, Contrast.VENOUS, Contrast.ARTERIAL)
    contrast = phases[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    if region in {Region.HAND, Region.FOOT}:
        spacing = float(rng.choice([0.6, 0.8, 1.0, 1.5, 2.0] if region is Region.HAND else [0.8, 1.0, 1.5, 2.0, 3.0]))
        pixel = float(rng.uniform(0.3, 0.6) if region is Region.HAND else rng.uniform(0.35, 0.7))
        kernel = (Kernel.SOFT, Kernel.STANDARD, Kernel.SHARP)[int(rng.choice(3, p=[0.4, 0.3, 0.3]))]
        noise = float(rng.uniform(10, 30))
        return ScanRecipe(pixel_mm=pixel, spacing_mm=spacing, noise_hu=noise, kernel=kernel)
    style = int(rng.choice(3, p=[0.65, 0.17, 0.18]))
    if style == 1 and region is Region.THORAX:
        spacing = float(rng.choice([1.25, 1.5, 2.0]))
        return ScanRecipe(
            pixel_mm=float(rng.uniform(0.65, 0.85)),
            spacing_mm=spacing,
            noise_hu=float(rng.uniform(35, 90)),
            kernel=Kernel.LUNG,
            contrast=contrast,
        )
    if style == 2:
        return ScanRecipe(
            pixel_mm=float(rng.choice([0.98, 1.17, 1.37])),
            spacing_mm=float(rng.choice([3.27, 5.0])),
            thickness_mm=5.0,
            noise_hu=float(rng.uniform(12, 30)),
            kernel=Kernel.SOFT,
            contrast=contrast,
        )
    spacing = float(rng.choice([1.25, 1.5, 2.0, 2.5, 3.0, 5.0]))
    return ScanRecipe(
        pixel_mm=float(rng.uniform(0.7, 0.98)),
        spacing_mm=spacing,
        thickness_mm=min(5.0, spacing * float(rng.choice([1.0, 1.0, 1.5]))),
        noise_hu=float(np.exp(rng.uniform(np.log(8), np.log(30)))),
        kernel=(Kernel.SOFT, Kernel.STANDARD, Kernel.SHARP)[int(rng.choice(3, p=[0.55, 0.25, 0.2]))],
        contrast=contrast,
    )
