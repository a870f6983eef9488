"""Named studies of radiographs, and studies drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from calcphantom.film.recipe import (
    Collimation,
    ExposureRecipe,
    FilmRecipe,
    Photometric,
    Spacing,
    View,
)
from calcphantom.kinds import Kind
from calcphantom.lesions_bound import POSTERIOR_VESSELS
from calcphantom.recipe import Extra, Layer, LesionRecipe, PhantomRecipe, Region, RoughLesionRecipe

FILM_KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "leg-phleboliths": Kind(
            summary="cluster of phleboliths and a calcified artery in the lower leg",
            region=Region.CALF,
            lesions=(
                LesionRecipe(pattern="P01", diameter_mm=30, hu=1100, layer=Layer.SUBCUTANEOUS),
                LesionRecipe(pattern="P02", diameter_mm=100, hu=1300, site=POSTERIOR_VESSELS),
            ),
            description="XR right lower leg phantom",
            length_mm=190.0,
            age_years=47,
            sex="F",
        ),
        "thigh-rim-mass": Kind(
            summary="rim-calcified mass in the thigh",
            region=Region.THIGH,
            lesions=(LesionRecipe(pattern="P05", diameter_mm=42, hu=800),),
            description="XR right thigh phantom",
            length_mm=170.0,
            age_years=24,
            sex="M",
        ),
        "knee-negative": Kind(
            summary="knee with patella and fabella and without calcification",
            region=Region.CALF,
            extras=(Extra.KNEE_END,),
            description="XR right knee phantom",
            length_mm=190.0,
        ),
        "hand-nodules": Kind(
            summary="calcified nodule in a finger and another in the palm",
            region=Region.HAND,
            lesions=(
                LesionRecipe(pattern="P09", diameter_mm=6, hu=900, layer=Layer.SUBCUTANEOUS, site="finger"),
                LesionRecipe(pattern="P09", diameter_mm=8, hu=900, site="palm"),
            ),
            extras=(Extra.SPREAD_FINGERS,),
            description="XR right hand phantom",
            length_mm=200.0,
            age_years=52,
            sex="F",
        ),
        "foot-tophus": Kind(
            summary="tophus beside the ankle",
            region=Region.FOOT,
            lesions=(LesionRecipe(pattern="P17", diameter_mm=12, hu=200, layer=Layer.SUBCUTANEOUS, site="ankle fat"),),
            description="XR right foot phantom",
            length_mm=150.0,
            age_years=61,
            sex="M",
        ),
        "shoulder-tendinitis": Kind(
            summary="deposit in the rotator cuff",
            region=Region.SHOULDER,
            lesions=(LesionRecipe(pattern="P15", diameter_mm=14, hu=700, site="rotator cuff"),),
            extras=(Extra.ARMS_DOWN,),
            description="XR right shoulder phantom",
            length_mm=160.0,
            age_years=48,
            sex="F",
        ),
        "hip-negative": Kind(
            summary="hip with osteophytes and without calcification",
            region=Region.PELVIS,
            extras=(Extra.OSTEOPHYTES,),
            description="XR right hip phantom",
            length_mm=170.0,
            age_years=70,
        ),
    }
)
"""Kinds made for films; every other kind of a calf or thigh can be filmed too."""

_LESIONS: Final[tuple[tuple[str, float, float, tuple[Layer, ...]], ...]] = (
    ("P01", 3.0, 9.0, (Layer.SUBFASCIAL, Layer.SUBCUTANEOUS)),
    ("P01", 14.0, 40.0, (Layer.SUBFASCIAL, Layer.SUBCUTANEOUS)),
    ("P02", 30.0, 60.0, (Layer.SUBFASCIAL,)),
    ("P05", 14.0, 50.0, (Layer.SUBFASCIAL,)),
    ("P08", 16.0, 50.0, (Layer.SUBFASCIAL,)),
    ("P09", 3.5, 30.0, (Layer.SUBFASCIAL, Layer.SUBCUTANEOUS)),
    ("P11", 25.0, 55.0, (Layer.ABUTTING,)),
    ("P12", 14.0, 28.0, (Layer.SUBCUTANEOUS,)),
    ("P14", 18.0, 45.0, (Layer.SUBFASCIAL,)),
    ("P15", 6.0, 24.0, (Layer.SUBFASCIAL,)),
    ("P19", 3.5, 11.0, (Layer.SUBCUTANEOUS,)),
    ("P20", 30.0, 60.0, (Layer.SUBFASCIAL,)),
    ("P26", 16.0, 34.0, (Layer.SUBCUTANEOUS,)),
    ("P27", 14.0, 45.0, (Layer.SUBFASCIAL,)),
)
"""Pattern, smallest and largest diameter in mm, layers."""


_Lesions = tuple[tuple[str, float, float], ...]
_SMALL: Final[_Lesions] = (
    ("P09", 4.0, 9.0), ("P01", 4.0, 6.0), ("P12", 9.0, 13.0), ("P05", 7.0, 10.0), ("P17", 6.0, 12.0),
)  # fmt: skip
_FINGER: Final[_Lesions] = (("P09", 4.0, 7.0), ("P01", 4.0, 5.5), ("P17", 5.0, 8.0))
_MUSCLE: Final[_Lesions] = (
    ("P05", 14.0, 38.0), ("P09", 5.0, 28.0), ("P07", 20.0, 45.0), ("P20", 40.0, 70.0), ("P27", 14.0, 36.0),
    ("P11", 25.0, 50.0), ("P01", 4.0, 9.0),
)  # fmt: skip
_FAT: Final[_Lesions] = (("P12", 14.0, 26.0), ("P19", 5.0, 11.0), ("P09", 5.0, 14.0))
_JOINT: Final[_Lesions] = (("P16", 8.0, 22.0),)
_PLACES: Final[Mapping[Region, tuple[tuple[str, _Lesions, Layer], ...]]] = MappingProxyType(
    {
        Region.HAND: (
            ("finger", _FINGER, Layer.SUBCUTANEOUS), ("palm", _SMALL, Layer.SUBFASCIAL),
            ("palm", _SMALL, Layer.SUBFASCIAL), ("", _JOINT, Layer.SUBFASCIAL),
        ),
        Region.FOOT: (
            ("foot muscle", _SMALL, Layer.SUBFASCIAL), ("sole", _SMALL, Layer.SUBCUTANEOUS),
            ("ankle fat", _SMALL, Layer.SUBCUTANEOUS), ("", _JOINT, Layer.SUBFASCIAL),
        ),
        Region.SHOULDER: (
            ("deltoid", _MUSCLE, Layer.SUBFASCIAL), ("upper arm", _MUSCLE, Layer.SUBFASCIAL),
            ("rotator cuff", (("P15", 8.0, 20.0),), Layer.SUBFASCIAL), ("upper arm fat", _FAT, Layer.SUBCUTANEOUS),
        ),
        Region.PELVIS: (
            ("hip", _MUSCLE, Layer.SUBFASCIAL), ("hip", _MUSCLE, Layer.SUBFASCIAL),
            ("hip", (("P13", 28.0, 46.0),), Layer.SUBFASCIAL), ("", _JOINT, Layer.SUBFASCIAL),
        ),
        Region.CALF: (
            ("", (("P09", 18.0, 38.0),), Layer.FUSED), ("", _MUSCLE, Layer.SUBFASCIAL),
            ("", _MUSCLE, Layer.JUXTACORTICAL), ("", (("P11", 25.0, 55.0),), Layer.ABUTTING),
        ),
        Region.THIGH: (
            ("", (("P09", 18.0, 38.0),), Layer.FUSED), ("", _MUSCLE, Layer.SUBFASCIAL),
            ("", _MUSCLE, Layer.JUXTACORTICAL), ("", (("P11", 25.0, 55.0),), Layer.ABUTTING),
        ),
    }
)  # fmt: skip
"""Places of each region, what may lie there (pattern, smallest and largest diameter in mm), and in which layer."""
_HU: Final[Mapping[str, tuple[float, float]]] = MappingProxyType({"P17": (160.0, 230.0), "P07": (850.0, 1200.0)})
_BEAM: Final[Mapping[Region, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]] = MappingProxyType(
    {
        Region.HAND: ((36.0, 42.0), (46.0, 54.0), (0.05, 0.2)),
        Region.FOOT: ((38.0, 44.0), (50.0, 60.0), (0.1, 0.3)),
        Region.CALF: ((38.0, 46.0), (52.0, 64.0), (0.2, 0.5)),
        Region.THIGH: ((43.0, 52.0), (66.0, 77.0), (0.3, 1.0)),
        Region.SHOULDER: ((45.0, 53.0), (64.0, 75.0), (0.4, 1.0)),
        Region.PELVIS: ((48.0, 56.0), (72.0, 82.0), (0.6, 1.4)),
    }
)
"""Effective energy (keV), tube voltage (kV) and scatter of each region, lowest and highest."""


def exposure_of(region: Region) -> ExposureRecipe:
    """Return a usual exposure of a region: a thigh with more tube voltage and scatter than a calf."""
    if region is Region.CALF:
        return ExposureRecipe(energy_kev=41.0, kvp=57.0, scatter_ratio=0.3)
    if region is not Region.THIGH:
        energy, kvp, scatter = (sum(pair) / 2 for pair in _BEAM[region])
        return ExposureRecipe(energy_kev=energy, kvp=kvp, scatter_ratio=scatter)
    return ExposureRecipe(energy_kev=47.0, kvp=72.0, scatter_ratio=0.6)


def random_films(seed: int, *, has_lesions: bool = True) -> FilmRecipe:
    """Draw a study: region, lesions, dose, pixel, views, polarity, processing, collimation, distractors.

    Parameters
    ----------
    seed : int
        The same seed gives the same recipe.
    has_lesions : bool
        ``False`` draws a study without lesions and with more things that may deceive a search.

    Returns
    -------
    FilmRecipe
        One to four lesions of 3 to 60 mm, most of them of one kind; none when `has_lesions` is false.
    """
    rng = np.random.default_rng([seed, 11])
    region = (Region.CALF, Region.THIGH)[int(rng.integers(2))]
    lesions = _lesions(rng, seed) if has_lesions else ()
    longest = max((x.diameter_mm for x in lesions), default=0.0)
    extras = _extras(region, rng, dense=0.6 if has_lesions else 1.0)
    knee = 60.0 if Extra.KNEE_END in extras else 0.0
    phantom = PhantomRecipe(
        kind="random-film" if has_lesions else "random-negative-film",
        region=region,
        seed=seed,
        lesions=lesions,
        extras=extras,
        length_mm=max(float(rng.uniform(120, 190)), longest * 1.1 + 44.0) + knee,
        laterality="left" if rng.uniform() < 0.5 else "right",
        description=f"XR {region.value} phantom",
    )
    views = ((View.AP, View.LATERAL), (View.AP,), (View.LATERAL,))[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    return FilmRecipe(phantom=phantom, views=views, exposure=_exposure(region, rng))


FILM_REGIONS: Final = tuple(_PLACES)
"""Regions of `region_films`."""


def region_films(seed: int, region: Region, *, has_lesions: bool = True) -> FilmRecipe:
    """Draw a study of a region: both definitions of lesions, growth plates or osteophytes, masses joined to a shaft.

    Parameters
    ----------
    seed : int
        The same seed gives the same recipe.
    region : Region
        One of `FILM_REGIONS`.
    has_lesions : bool
        ``False`` draws a study without lesions.

    Returns
    -------
    FilmRecipe
        One or two lesions, in different places.
    """
    rng = np.random.default_rng([seed, 31, FILM_REGIONS.index(region)])
    side = "left" if rng.uniform() < 0.5 else "right"
    age = (Extra.GROWTH_PLATES,) if rng.uniform() < 0.3 else (Extra.OSTEOPHYTES,) if rng.uniform() < 0.4 else ()
    own = {Region.HAND: (Extra.SPREAD_FINGERS,), Region.SHOULDER: (Extra.ARMS_DOWN,)}.get(region, ())
    extras = _extras(region, rng, dense=0.6) if region in {Region.CALF, Region.THIGH} else (*own, *age)
    lesions = _in_places(region, side, rng) if has_lesions else ()
    longest = max((x.diameter_mm for x in lesions), default=0.0)
    lengths = {Region.HAND: (170.0, 230.0), Region.FOOT: (140.0, 170.0)}.get(region, (150.0, 180.0))
    phantom = PhantomRecipe(
        kind=f"{region.value}-film" if has_lesions else f"negative-{region.value}-film",
        region=region,
        seed=seed,
        lesions=lesions,
        extras=extras,
        length_mm=max(float(rng.uniform(*lengths)), 1.2 * longest + 44.0) + 60.0 * (Extra.KNEE_END in extras),
        laterality=side,
        description=f"XR {region.value} phantom",
    )
    views = {Region.FOOT: (View.DORSOPLANTAR, View.LATERAL), Region.CALF: (View.AP, View.LATERAL),
             Region.THIGH: (View.AP, View.LATERAL)}.get(region, (View.AP,))  # fmt: skip
    exposure = _exposure(region, rng)
    return FilmRecipe(phantom=phantom, views=views, exposure=exposure)


def _in_places(region: Region, side: str, rng: np.random.Generator) -> tuple[LesionRecipe, ...]:
    drawn = []
    places = _PLACES[region]
    for number in rng.permutation(len(places))[: int(rng.integers(1, 3))]:
        name, patterns, layer = places[int(number)]
        pattern, low, high = patterns[int(rng.integers(len(patterns)))]
        is_rough = layer is not Layer.FUSED and bool(rng.uniform() < 0.5)
        if pattern == "P11" and layer is not Layer.ABUTTING:
            is_rough = True  # the other definition follows the fascia, and needs no place
        make = RoughLesionRecipe if is_rough and pattern not in {"P13", "P15", "P19"} else LesionRecipe
        drawn.append(
            make(
                pattern=pattern,
                diameter_mm=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
                layer=Layer.SUBFASCIAL if pattern == "P11" and is_rough else layer,
                hu=float(np.exp(rng.uniform(*np.log(_HU.get(pattern, (450.0, 1500.0)))))),
                site=f"{side} hip" if name == "hip" else name or None,
            )
        )
    return tuple(drawn)


def _lesions(rng: np.random.Generator, seed: int) -> tuple[LesionRecipe, ...]:
    drawn = []
    for n in range(int(rng.choice(4, p=[0.45, 0.3, 0.15, 0.1])) + 1):
        number = seed % len(_LESIONS) if n == 0 else int(rng.integers(len(_LESIONS)))
        pattern, low, high, layers = _LESIONS[number]
        drawn.append(
            LesionRecipe(
                pattern=pattern,
                diameter_mm=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
                layer=layers[int(rng.integers(len(layers)))],
                hu=float(np.exp(rng.uniform(np.log(450.0), np.log(1700.0)))),
                site=POSTERIOR_VESSELS if pattern == "P02" else None,
            )
        )
    return tuple(drawn)


def _extras(region: Region, rng: np.random.Generator, *, dense: float) -> tuple[Extra, ...]:
    chances = {
        Region.CALF: ((Extra.KNEE_END, 0.35), (Extra.CAST, 0.12), (Extra.CLOTHES, 0.06)),
        Region.THIGH: ((Extra.NAIL, 0.15), (Extra.CLOTHES, 0.06), (Extra.LEAD, 0.08)),
    }[region]
    return tuple(extra for extra, chance in chances if rng.uniform() < chance * dense)


def _exposure(region: Region, rng: np.random.Generator) -> ExposureRecipe:
    energies, voltages, scatters = _BEAM[region]
    is_linear = bool(rng.uniform() < 0.1)

    def pick(choices: tuple[str, ...], chances: tuple[float, ...]) -> str:
        return choices[int(rng.choice(len(choices), p=chances))]

    spacing = Spacing(pick(("detector", "calibrated", "none"), (0.6, 0.25, 0.15)))
    if is_linear and spacing is Spacing.NONE:
        spacing = Spacing.DETECTOR
    modality = "CR" if spacing is Spacing.NONE else "DX" if is_linear else pick(("DX", "CR"), (0.6, 0.4))
    return ExposureRecipe(
        pixel_mm=float(np.round(rng.uniform(0.12, 0.2), 3)),
        sid_mm=float(rng.choice([1000.0, 1100.0, 1150.0, 1300.0, 1500.0])),
        gap_mm=float(rng.uniform(2.0, 70.0)),
        energy_kev=float(rng.uniform(*energies)),
        kvp=float(np.round(rng.uniform(*voltages))),
        quanta_per_mm2=float(np.exp(rng.uniform(np.log(8e4), np.log(8e5)))),
        scatter_ratio=float(rng.uniform(*scatters)),
        blur_mm=float(rng.uniform(0.08, 0.2)),
        noise_grain_pixels=float(rng.uniform(0.3, 0.7)),
        bits=int(rng.choice([10, 12, 12, 14, 15, 16])),
        photometric=Photometric(pick(("MONOCHROME1", "MONOCHROME2"), (0.4, 0.6))),
        is_linear=is_linear,
        is_processed=not is_linear and bool(rng.uniform() < 0.5),
        spacing=spacing,
        collimation=Collimation(pick(("none", "header", "visible", "masked"), (0.4, 0.25, 0.2, 0.15))),
        has_marker=bool(rng.uniform() < 0.8),
        has_text=bool(rng.uniform() < 0.25),
        modality=modality,
    )
