"""Named recipes for the command line, and recipes drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.body_recipes import body_recipe
from calcphantom.recipe import (
    CLASSIC_REGIONS,
    Extra,
    Kernel,
    Layer,
    LesionRecipe,
    PhantomRecipe,
    Region,
    ScanRecipe,
)
from calcreport.model.image import Contrast


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A named study: its summary, part of the body, lesions and header texts; see `PhantomRecipe`."""

    summary: str
    region: Region
    lesions: tuple[LesionRecipe, ...] = ()
    extras: tuple[Extra, ...] = ()
    contrast: Contrast = Contrast.NONE
    description: str = "CT phantom"
    laterality: str = "right"
    length_mm: float | None = None
    fat_mm: float | None = None
    age_years: int | None = None
    sex: str = ""

    def recipe(self, name: str, *, seed: int, scan: ScanRecipe) -> PhantomRecipe:
        """Return the recipe of this kind under a name, with a seed and scanner settings."""
        return PhantomRecipe(
            kind=name,
            region=self.region,
            seed=seed,
            lesions=self.lesions,
            extras=self.extras,
            scan=scan,
            length_mm=self.length_mm,
            fat_mm=self.fat_mm,
            laterality=self.laterality,
            description=self.description,
            age_years=self.age_years,
            sex=self.sex,
        )


def _lesion(
    pattern: str, diameter_mm: float, hu: float, layer: Layer = Layer.SUBFASCIAL, **more: float
) -> LesionRecipe:
    return LesionRecipe(pattern=pattern, diameter_mm=diameter_mm, layer=layer, hu=hu, mass_mm=more.get("mass_mm"))


_SUBCUTANEOUS: Final = Layer.SUBCUTANEOUS
_SCM: Final = LesionRecipe(pattern="P09", diameter_mm=14, hu=420, site="right sternocleidomastoid")

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "phlebolith": Kind(
            summary="round stones along the pelvic veins",
            region=Region.PELVIS,
            lesions=(_lesion("P01", 6, 420), _lesion("P01", 5, 380), _lesion("P01", 4.5, 450)),
            description="CT pelvis phantom",
            age_years=25,
            sex="F",
        ),
        "venous-malformation": Kind(
            summary="round stones in a venous malformation of the thigh",
            region=Region.THIGH,
            lesions=(_lesion("P01", 6, 420), _lesion("P01", 5, 380), _lesion("P01", 4.5, 450)),
            description="CT right thigh phantom",
            age_years=25,
            sex="F",
        ),
        "myositis-ossificans": Kind(
            summary="rim-calcified focus in the calf",
            region=Region.CALF,
            lesions=(_lesion("P05", 34, 620),),
            description="CT right calf phantom",
            age_years=22,
            sex="M",
        ),
        "calcific-myonecrosis": Kind(
            summary="plates around a liquefied muscle of the calf, over 10 cm",
            region=Region.CALF,
            lesions=(_lesion("P10", 125, 520),),
            description="CT right calf phantom",
            age_years=70,
            sex="M",
        ),
        "tumoral-calcinosis": Kind(
            summary="lobulated deposit with fluid-calcium levels at the hip",
            region=Region.PELVIS,
            lesions=(LesionRecipe(pattern="P13", diameter_mm=66, hu=520, site="left hip"),),
            description="CT pelvis phantom",
            age_years=40,
            sex="M",
        ),
        "dermatomyositis": Kind(
            summary="sheets along the fascia of both thighs",
            region=Region.THIGH,
            lesions=(_lesion("P11", 60, 450, Layer.ABUTTING), _lesion("P11", 55, 450, Layer.ABUTTING)),
            extras=(Extra.SECOND_LEG,),
            description="CT thighs phantom",
            age_years=54,
            sex="F",
        ),
        "sternocleidomastoid": Kind(
            summary="dystrophic focus in the sternocleidomastoid muscle",
            region=Region.NECK,
            lesions=(_SCM,),
            description="CT neck phantom",
            age_years=46,
            sex="M",
        ),
        "deep-mass": Kind(
            summary="deep mass over 5 cm with central amorphous mineral",
            region=Region.THIGH,
            lesions=(_lesion("P23", 34, 480, mass_mm=78.0),),
            description="CT right thigh phantom",
            age_years=58,
            sex="F",
        ),
        "nail": Kind(
            summary="thigh with a femoral nail and no calcification",
            region=Region.THIGH,
            extras=(Extra.NAIL,),
            description="CT right thigh phantom",
        ),
        "negative": Kind(
            summary="calf with knee and without calcification",
            region=Region.CALF,
            extras=(Extra.KNEE_END,),
            description="CT right calf phantom",
        ),
        "arterial": Kind(summary="tram-track arteries", region=Region.CALF, lesions=(_lesion("P02", 90, 500),)),
        "plaque": Kind(summary="short plaque on an artery", region=Region.THIGH, lesions=(_lesion("P03", 8, 500),)),
        "skin-vessels": Kind(
            summary="fine net in the fat", region=Region.THIGH, lesions=(_lesion("P04", 45, 700, _SUBCUTANEOUS),)
        ),
        "venous-stasis": Kind(
            summary="reticular mineral in the fat",
            region=Region.CALF,
            lesions=(_lesion("P18", 45, 700, _SUBCUTANEOUS),),
        ),
        "early-ossification": Kind(
            summary="faint cloud in swollen muscle", region=Region.THIGH, lesions=(_lesion("P06", 28, 250),)
        ),
        "heterotopic-ossification": Kind(
            summary="mature bone beside the hip", region=Region.PELVIS, lesions=(_lesion("P07", 40, 950),)
        ),
        "ossifying-bars": Kind(
            summary="bars of bone in the neck muscles",
            region=Region.NECK,
            lesions=(_lesion("P08", 40, 900), _lesion("P08", 32, 900)),
        ),
        "dystrophic": Kind(
            summary="amorphous focus in muscle", region=Region.THIGH, lesions=(_lesion("P09", 18, 420),)
        ),
        "nodular": Kind(
            summary="stone-like nodules under the skin",
            region=Region.CALF,
            lesions=(_lesion("P12", 22, 600, _SUBCUTANEOUS),),
        ),
        "speckled": Kind(summary="fine speckles", region=Region.THIGH, lesions=(_lesion("P14", 55, 800),)),
        "tendinitis": Kind(summary="ovoid in a tendon", region=Region.THIGH, lesions=(_lesion("P15", 18, 480),)),
        "injection-granuloma": Kind(
            summary="nodules in the buttocks",
            region=Region.PELVIS,
            lesions=(_lesion("P19", 8, 400, _SUBCUTANEOUS), _lesion("P19", 7, 420, _SUBCUTANEOUS)),
            fat_mm=22.0,
        ),
        "cysticercosis": Kind(
            summary="rice grains along muscle", region=Region.THIGH, lesions=(_lesion("P20", 70, 600),)
        ),
        "lymph-node": Kind(summary="calcified node", region=Region.NECK, lesions=(_lesion("P21", 12, 500),)),
        "chondroid": Kind(summary="rings and arcs", region=Region.THIGH, lesions=(_lesion("P22", 24, 650),)),
        "stippled-mass": Kind(
            summary="eccentric stipples in a mass",
            region=Region.THIGH,
            lesions=(_lesion("P24", 22, 600, mass_mm=42.0),),
        ),
        "fatty-mass": Kind(
            summary="mineral in a fatty mass", region=Region.THIGH, lesions=(_lesion("P25", 20, 480, mass_mm=75.0),)
        ),
        "open-shell": Kind(
            summary="incomplete shell under the skin",
            region=Region.THIGH,
            lesions=(_lesion("P26", 26, 600, _SUBCUTANEOUS),),
        ),
        "old-haematoma": Kind(
            summary="rim around fluid or fat", region=Region.THIGH, lesions=(_lesion("P27", 32, 600),)
        ),
        "tophus": Kind(
            summary="faint dense nodule beside the ankle",
            region=Region.FOOT,
            lesions=(LesionRecipe(pattern="P17", diameter_mm=12, hu=190, layer=_SUBCUTANEOUS, site="ankle fat"),),
            description="CT right foot phantom",
            length_mm=120.0,
            age_years=61,
            sex="M",
        ),
        "chondrocalcinosis": Kind(
            summary="thin mineral in the cartilage of the knee",
            region=Region.CALF,
            lesions=(_lesion("P16", 18, 500),),
            extras=(Extra.KNEE_END,),
            description="CT right knee phantom",
            age_years=74,
            sex="F",
        ),
        "bone-contiguous": Kind(
            summary="mineral fused with a cortex", region=Region.CALF, lesions=(_lesion("P09", 32, 800, Layer.FUSED),)
        ),
    }
)
"""Kinds of study by name."""

_RANDOM_LESIONS: Final[tuple[tuple[str, float, float, tuple[Layer, ...]], ...]] = (
    ("P01", 4.0, 9.0, (Layer.SUBFASCIAL, Layer.SUBCUTANEOUS)),
    ("P02", 50.0, 110.0, (Layer.SUBFASCIAL,)),
    ("P03", 5.0, 11.0, (Layer.SUBFASCIAL,)),
    ("P05", 14.0, 50.0, (Layer.SUBFASCIAL, Layer.JUXTACORTICAL)),
    ("P06", 15.0, 35.0, (Layer.SUBFASCIAL,)),
    ("P07", 22.0, 60.0, (Layer.SUBFASCIAL, Layer.JUXTACORTICAL)),
    ("P09", 5.0, 30.0, (Layer.SUBFASCIAL, Layer.SUBCUTANEOUS, Layer.ABUTTING)),
    ("P10", 105.0, 150.0, (Layer.SUBFASCIAL,)),
    ("P11", 40.0, 70.0, (Layer.ABUTTING,)),
    ("P12", 14.0, 28.0, (Layer.SUBCUTANEOUS,)),
    ("P13", 35.0, 70.0, (Layer.SUBFASCIAL,)),
    ("P15", 9.0, 24.0, (Layer.SUBFASCIAL,)),
    ("P18", 35.0, 55.0, (Layer.SUBCUTANEOUS,)),
    ("P19", 5.0, 11.0, (Layer.SUBCUTANEOUS,)),
    ("P20", 40.0, 90.0, (Layer.SUBFASCIAL,)),
    ("P21", 8.0, 16.0, (Layer.SUBFASCIAL,)),
    ("P22", 16.0, 32.0, (Layer.SUBFASCIAL,)),
    ("P23", 24.0, 42.0, (Layer.SUBFASCIAL,)),
    ("P24", 14.0, 28.0, (Layer.SUBFASCIAL,)),
    ("P25", 10.0, 24.0, (Layer.SUBFASCIAL,)),
    ("P26", 16.0, 34.0, (Layer.SUBCUTANEOUS,)),
    ("P27", 14.0, 45.0, (Layer.SUBFASCIAL,)),
    ("P09", 18.0, 38.0, (Layer.FUSED,)),
)
"""Pattern, smallest and largest diameter in mm, layers."""

_REGIONS: Final[Mapping[str, tuple[Region, ...]]] = MappingProxyType(
    {
        "P02": (Region.CALF, Region.THIGH),
        "P10": (Region.CALF,),
        "P11": (Region.THIGH,),
        "P13": (Region.PELVIS, Region.THIGH),
        "P15": (Region.THIGH,),
        "P18": (Region.CALF,),
        "P19": (Region.PELVIS,),
        "P21": (Region.NECK, Region.PELVIS),
        "P23": (Region.THIGH,),
        "P25": (Region.THIGH,),
    }
)
_LIMBS: Final[tuple[Region, ...]] = (Region.CALF, Region.THIGH)
_HU_RANGE: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({"P06": (200.0, 300.0), "P07": (850.0, 1200.0)})


def random_recipe(seed: int, *, has_lesions: bool = True, region: Region | None = None) -> PhantomRecipe:
    """Draw a study: anatomy, lesion, size, depth, density, spacing, overlap, tilt, dose, kernel.

    Parameters
    ----------
    seed : int
        The same seed gives the same recipe.
    has_lesions : bool
        ``False`` draws a negative study, with more things that may deceive a detector.
    region : Region | None
        One of `WHOLE_BODY_REGIONS`; ``None`` draws a calf, thigh, pelvis or neck.

    Returns
    -------
    PhantomRecipe
        One lesion, now and then two of the same pattern; none when `has_lesions` is false.
    """
    if region is not None:
        return body_recipe(seed, region, has_lesions=has_lesions)
    rng = np.random.default_rng([seed, 7])
    if not has_lesions:
        return _negative(seed, rng)
    pattern, low, high, layers = _RANDOM_LESIONS[seed % len(_RANDOM_LESIONS)]
    anywhere = _LIMBS if layers == (Layer.FUSED,) else (*_LIMBS, *_LIMBS, Region.PELVIS, Region.NECK)
    layer = layers[int(rng.integers(len(layers)))]
    regions = _REGIONS.get(pattern, anywhere)
    region = regions[int(rng.integers(len(regions)))]
    if pattern == "P01" and layer is Layer.SUBCUTANEOUS:
        region = _LIMBS[seed // 2 % 2]  # in the buttock it could not be told from an injection granuloma
    if region is Region.NECK:
        high = min(high, max(low, 24.0))
    diameter = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    hu_low, hu_high = _HU_RANGE.get(pattern, (280.0, 800.0))
    lesion = LesionRecipe(
        pattern=pattern,
        diameter_mm=diameter,
        layer=layer,
        hu=float(rng.uniform(hu_low, hu_high)),
    )
    twice = pattern in {"P01", "P09", "P19"} and lesion.layer is not Layer.FUSED and rng.uniform() < 0.3
    return PhantomRecipe(
        kind="random",
        region=region,
        seed=seed,
        lesions=(lesion, lesion) if twice else (lesion,),
        extras=_extras(region, rng, dense=0.25),
        scan=_scan(region, rng, longest_mm=diameter),
        laterality="left" if rng.uniform() < 0.5 else "right",
    )


def _negative(seed: int, rng: np.random.Generator) -> PhantomRecipe:
    region = CLASSIC_REGIONS[seed % 4]
    return PhantomRecipe(
        kind="random-negative",
        region=region,
        seed=seed,
        extras=_extras(region, rng, dense=0.6),
        scan=_scan(region, rng, longest_mm=30.0),
        laterality="left" if rng.uniform() < 0.5 else "right",
    )


def _extras(region: Region, rng: np.random.Generator, *, dense: float) -> tuple[Extra, ...]:
    """Draw what else lies there; `dense` is the chance of each."""
    possible = {
        Region.CALF: (Extra.KNEE_END, Extra.CAST, Extra.CLOTHES, Extra.FRAGMENT),
        Region.THIGH: (Extra.NAIL, Extra.CLOTHES, Extra.LEAD, Extra.SECOND_LEG),
        Region.PELVIS: (Extra.BOWEL_CONTRAST, Extra.BLADDER_CONTRAST, Extra.CLOTHES),
        Region.NECK: (Extra.LEAD, Extra.CLOTHES),
    }[region]
    rare = {Extra.NAIL, Extra.FRAGMENT, Extra.SECOND_LEG}
    return tuple(e for e in possible if rng.uniform() < dense * (0.4 if e in rare else 0.7))


def _scan(region: Region, rng: np.random.Generator, *, longest_mm: float) -> ScanRecipe:
    """Draw scanner settings; long scans get no very thin slices, to keep the volume small."""
    thinnest = 0.5 if longest_mm < 20 else 1.0 if longest_mm < 60 else 1.5
    choices = [s for s in (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0) if s >= thinnest]
    spacing = float(choices[int(rng.integers(len(choices)))])
    stretch = (1.0, 1.0, 1.0, 1.5, 2.0, 0.8)[int(rng.integers(6))]
    thickness = min(spacing * stretch, 5.0)
    pixel = float(rng.uniform(0.95, 1.2) if region is Region.PELVIS else rng.uniform(0.55, 0.95))
    tilt = float(rng.uniform(-22, 22)) if rng.uniform() < 0.3 else 0.0
    phases = (Contrast.NONE, Contrast.VENOUS, Contrast.ARTERIAL)
    contrast = phases[int(rng.choice(3, p=[0.75, 0.17, 0.08]))]
    noisiest = 30.0 if region is Region.PELVIS else 45.0
    return ScanRecipe(
        pixel_mm=pixel,
        spacing_mm=spacing,
        thickness_mm=thickness,
        tilt_deg=tilt,
        noise_hu=float(np.exp(rng.uniform(np.log(8), np.log(noisiest)))),
        kernel=tuple(Kernel)[int(rng.choice(3, p=[0.5, 0.3, 0.2]))],
        contrast=contrast,
    )
