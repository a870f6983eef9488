"""How well each pattern's criteria hold: graded, from named features, never learned.

Every pattern is a product of graded criteria between 0 and 1, and every criterion can be read. Criteria follow the
radiological literature: phlebolith (Traubici, AJR 1999), myositis ossificans (Ital J Pediatr 2020,
s13052-020-00874-9), calcific myonecrosis (Eur Radiol 2004), tumoral calcinosis (RadioGraphics 2006), dermatomyositis
calcinosis (Eurorad 8744), cysticercosis, chondroid matrix.
"""

from __future__ import annotations

from typing import Final

from calcreport.calcification.patterns.features import Features
from calcreport.model.report import DepthClass

BUTTOCK_WORDS: Final = ("PELVIS", "HIP", "BUTTOCK", "GLUT")
"""Where injection granulomas lie."""

TRUNK_WORDS: Final = (*BUTTOCK_WORDS, "ABDOMEN", "CHEST", "THORAX", "NECK", "HEAD")
"""Where deep fat is normal, and so no sign of a fatty mass; nodes lie here too."""

ALONG_FASCIA_MM: Final = 4.0

DEEP: Final = frozenset({DepthClass.SUBFASCIAL, DepthClass.JUXTACORTICAL})
SUPERFICIAL: Final = frozenset({DepthClass.SUBCUTANEOUS, DepthClass.CUTANEOUS, DepthClass.ABUTS_FASCIA})
BETWEEN: Final = frozenset({DepthClass.CROSSES_FASCIA, DepthClass.ABUTS_FASCIA})


def rising(value: float | None, low: float, high: float) -> float:
    """0 at or below `low`, 1 at or above `high`, straight between; 0 when unknown."""
    if value is None:
        return 0.0
    return min(1.0, max(0.0, (value - low) / (high - low)))


def falling(value: float | None, low: float, high: float) -> float:
    """1 at or below `low`, 0 at or above `high`; 0 when unknown."""
    return 0.0 if value is None else 1.0 - rising(value, low, high)


def _all(*grades: float) -> float:
    """Every criterion must hold: geometric mean, zero when any is zero."""
    product = 1.0
    for grade in grades:
        product *= grade
    return float(product ** (1.0 / len(grades)))


def score_patterns(f: Features, region: str | None = None) -> dict[str, float]:
    """Grade of each pattern, 0 to 1.

    Parameters
    ----------
    f : Features
        Of one lesion.
    region : str | None
        Body part, for the few patterns bound to a place.
    """
    part = (region or "").upper()
    is_trunk = any(word in part for word in TRUNK_WORDS)
    at_buttock = 1.0 if not part or any(word in part for word in BUTTOCK_WORDS) else 0.7
    deep = 1.0 if f.layer in DEEP else 0.7 if f.layer in BETWEEN else 0.0
    superficial = 1.0 if f.layer in SUPERFICIAL else 0.7 if f.layer is DepthClass.CROSSES_FASCIA else 0.0
    single = 1.0 if f.foci_count == 1 else 0.6 if f.foci_count == 2 else 0.3
    hollow = falling(f.core_share, 0.15, 0.5)
    rim = _all(hollow, rising(f.shell_share, 0.2, 0.45))
    solid = rising(f.core_share, 0.55, 0.85) if f.core_share is not None else 1.0
    # A gain that cannot be read, because the shell is too thin for the pixels, speaks neither way.
    even = falling(f.centre_gain, 1.15, 1.4) if f.centre_gain is not None else 1.0
    centred = _all(rising(f.centre_gain, 1.05, 1.25), rising(f.core_share, 0.35, 0.6))
    round_focus = _all(
        rising(f.sphericity, 0.4, 0.65), rising(f.smoothness, 0.6, 0.8), falling(f.focus_elongation, 1.2, 1.8)
    )
    # Tendon is denser than the muscle around it, and deposits lie near its insertion.
    tendon = _all(falling(f.swelling_hu, -5, -1), falling(f.bone_gap_mm, 9, 18), 1.0 - f.near_fat)
    homogeneous = falling(f.core_tail_hu, 40, 100) if f.core_tail_hu is not None else 1.0
    ovoid = _all(
        solid, rising(f.smoothness, 0.66, 0.8), falling(f.variation, 0.12, 0.25), homogeneous,
        max(rising(f.focus_elongation, 1.3, 1.6), tendon),
    )  # fmt: skip
    globular = rising(f.thickness_mm / max(f.longest_mm, 1e-6), 0.3, 0.5)
    net = _all(
        falling(f.fill, 0.1, 0.3),
        falling(f.projected_fill, 0.5, 0.75),
        rising(f.longest_mm, 12, 20),
        rising(f.width_mm, 8, 14),
    )
    soft_core = _all(rising(f.core_hu, 35, 55), falling(f.core_hu, 130, 220)) if f.core_hu is not None else 0.0
    tube = _tube(f)
    in_fat = _in_fat(f, deep) * _all(rising(f.longest_mm, 6, 10), single, rising(f.fill, 0.3, 0.5))
    in_fat *= (0.6 if is_trunk else 1.0) * (1 - 0.6 * rim)
    plaque = deep * _all(rising(f.vessel_hu, 5, 25), falling(f.longest_mm, 15, 30), falling(f.width_mm, 7, 12))
    node = _node(f, deep=deep, single=single) if is_trunk else 0.0
    bulky = rising(f.thickness_mm / max(f.longest_mm, 1e-6), 0.15, 0.3)
    levels = _all(rising(f.level_share, 0.12, 0.3), rising(f.longest_mm, 18, 30)) * bulky
    cloud = _cloud(f, deep) * even
    faint = max(cloud, deep * falling(f.mean_hu, 220, 330) * rising(f.longest_mm, 12, 20))
    no_mass = (1 - 0.6 * in_fat) * (1 - 0.6 * plaque)
    small_in_fat = superficial * falling(f.longest_mm, 9, 14)
    scores = {
        "P01": _all(round_focus, falling(f.foci_count, 8, 14), rising(f.peak_hu, 200, 300))
               * falling(f.largest_focus_mm, 8, 15) * (1 - 0.15 * superficial)
               * (1 - 0.3 * superficial * rising(f.foci_count, 1, 2)) * (1 - 0.5 * tendon) * (1 - 0.5 * node) * no_mass,
        "P02": tube * max(0.75, rising(f.tube_share, 0.1, 0.3), rising(f.ring_share, 0.1, 0.3)) * max(deep, 0.6),
        "P03": 0.95 * plaque * (1 - 0.5 * rim),
        "P04": superficial * _all(falling(f.wall_mm, 1.5, 2.1), net),
        "P05": deep * _all(rim, rising(f.coverage, 0.6, 0.9), soft_core, rising(f.longest_mm, 8, 14),
                    falling(f.longest_mm, 75, 110)) * (1 - 0.8 * tube) * falling(f.near_fat, 0.4, 0.7)
               * (0.5 + 0.5 * falling(f.core_tail_hu, 20, 60)),
        "P06": cloud * (1 - 0.8 * tube) * (1 - 0.6 * in_fat),
        "P07": deep * _all(rim, rising(f.coverage, 0.6, 0.9), _marrow(f), rising(f.peak_hu, 550, 900))
               * (1 - 0.8 * tube),
        "P09": (0.8 + 0.2 * single)
               * _all(solid, single, 1 - 0.7 * ovoid, rising(f.fill, 0.3, 0.5), falling(f.longest_mm, 60, 110), even)
               * (1 - 0.6 * round_focus * falling(f.largest_focus_mm, 9, 14)) * (1 - 0.4 * faint) * (1 - 0.5 * centred)
               * (1 - 0.4 * small_in_fat) * (1 - 0.8 * tube) * (1 - 0.5 * levels) * (1 - 0.4 * node)
               * (1 - 0.4 * tendon) * no_mass,
        "P10": deep * _all(hollow, rising(f.coverage, 0.4, 0.7), rising(f.longest_mm, 70, 95),
                    _all(rising(f.core_hu, 0, 12), falling(f.core_hu, 60, 110)), falling(f.wall_mm, 5, 8))
               * (1 - 0.6 * falling(f.to_fascia_mm, 2.5, 5.0)) * (1 - 0.8 * tube),
        "P11": rising(f.longest_mm, 20, 32) * _sheet_layer(f)
               * _all(falling(f.wall_mm, 4.0, 6.5), rising(f.width_mm, 12, 22), falling(f.fill, 0.3, 0.6),
                      rising(f.focus_size_mm, 12, 24), rising(f.projected_fill, 0.45, 0.65))
               * (1 - 0.6 * rim * rising(f.coverage, 0.5, 0.7)),
        "P12": superficial * _all(rising(f.foci_count, 1, 2), falling(f.focus_size_mm, 8, 13),
                    falling(f.foci_count, 12, 20), rising(f.wall_mm, 1.4, 2.4), falling(f.longest_mm, 40, 60)),
        "P13": levels,
        "P14": rising(f.longest_mm, 25, 40)
               * _all(rising(f.foci_count, 8, 14), falling(f.focus_size_mm, 3.5, 5.5), falling(f.fill, 0.05, 0.15)),
        "P15": deep * _all(single, ovoid, rising(f.longest_mm, 7, 10), falling(f.longest_mm, 35, 50))
               * (0.8 + 0.2 * tendon) * falling(f.near_fat, 0.5, 0.85) * (1 - 0.4 * node) * no_mass,
        "P18": superficial * _all(rising(f.wall_mm, 1.5, 2.1), falling(f.wall_mm, 2.8, 4.0), net),
        "P19": superficial * _all(single, falling(f.longest_mm, 12, 20), rising(f.smoothness, 0.6, 0.8),
                    rising(f.sphericity, 0.25, 0.45)) * at_buttock * no_mass,
        "P20": deep * _all(rising(f.foci_count, 3, 4.5), rising(f.focus_elongation, 1.4, 1.9),
                    rising(f.focus_alignment, 0.5, 0.8), rising(f.focus_size_mm, 3.5, 5.5),
                    falling(f.largest_focus_mm, 12, 23)) * (1 - 0.6 * tube),
        "P21": 0.95 * node * (1 - 0.6 * plaque),
        "P22": max(_chondroid_foci(f), _chondroid_mass(f)) * (1 - 0.8 * tube),
        "P23": _all(centred, falling(f.wide_fat, 0.4, 0.7), rising(f.longest_mm, 10, 18),
                    rising(f.variation, 0.15, 0.25)),
        "P24": _all(rising(f.foci_count, 3, 6), falling(f.focus_size_mm, 5, 8), falling(f.foci_count, 20, 30),
                    falling(f.focus_elongation, 1.6, 2.2), falling(f.fill, 0.15, 0.35)) * deep * (1 - 0.8 * tube)
               * (1 - 0.5 * rising(f.focus_alignment, 0.5, 0.8) * rising(f.focus_elongation, 1.25, 1.5)),
        "P25": in_fat,
        "P26": max(superficial, 0.8 * rising(f.near_fat, 0.5, 0.7)) * _all(rim, rising(f.coverage, 0.4, 0.6), globular,
                    _all(rising(f.core_hu, 20, 40), falling(f.core_hu, 110, 200)), rising(f.longest_mm, 8, 12))
               * (1 - 0.6 * node * falling(f.longest_mm, 12, 18)),
        "P27": _all(rim, rising(f.coverage, 0.6, 0.9), _fluid_or_fat(f),
                    falling(f.core_tail_hu, 15, 60), falling(f.wall_mm, 3.5, 5.5), falling(f.longest_mm, 80, 120))
               * (0.4 + 0.6 * falling(f.mean_hu, 700, 900)) * (1 - 0.8 * tube),
    }  # fmt: skip
    return {k: round(v, 3) for k, v in sorted(scores.items(), key=lambda item: -item[1])}


def _in_fat(f: Features, deep: float) -> float:
    """Mineral with fat on all sides: deep in a wide field of fat, or in fat that ends within reach as a mass does.

    By the fascia the fat may be subcutaneous: it goes on, and has muscle on one side; a fatty mass that lifts the
    fascia has fat on all sides, and is bounded by muscle.
    """
    by_fascia = 1.0 if f.layer in BETWEEN else falling(f.to_fascia_mm, 3, 5)
    wide = deep * (1 - by_fascia) * _all(rising(f.wide_fat, 0.45, 0.7), rising(f.near_fat, 0.15, 0.4))
    bounded = deep if by_fascia == 0 else min(deep, 0.8) * rising(f.fat_sides, 0.8, 0.92)
    confined = _all(rising(f.near_fat, 0.6, 0.8), rising(f.near_fat - f.wide_fat, 0.15, 0.35))
    return max(wide, bounded * confined * rising(f.longest_mm, 7, 11))


def _tube(f: Features) -> float:
    """Long and slim: foci strung along the scan as along a vessel, or one pipe with a wall all round."""
    slender = falling(f.width_mm / max(f.longest_mm, 1e-6), 0.25, 0.45)
    chain = _all(1.0 if f.is_vessel_chain else 0.0, rising(f.longest_mm, 25, 40), slender)
    pipe = _all(
        rising(f.tube_share, 0.6, 0.9), rising(f.ring_share, 0.4, 0.7), rising(f.longest_mm, 30, 45), slender,
        falling(f.width_mm, 12, 16),
    )  # fmt: skip
    return max(chain, pipe)


def _node(f: Features, *, deep: float, single: float) -> float:
    """An ovoid in deep fat, of a node's size, with the gland's soft tissue or an eggshell around it."""
    gland = max(rising(f.coat_hu, -70, -20), rising(f.ring_share, 0.1, 0.3), 0.4 * rising(f.longest_mm, 8, 12))
    return deep * _all(
        single, rising(f.longest_mm, 5, 8), falling(f.longest_mm, 25, 35), rising(f.near_fat, 0.25, 0.55),
        rising(f.fill, 0.4, 0.6), gland,
    )  # fmt: skip


def _cloud(f: Features, deep: float) -> float:
    """Faint, even, ill-defined mineral in muscle; the more so when the muscle around it is swollen."""
    return (0.8 + 0.2 * rising(f.swelling_hu, 0, 3)) * deep * _all(
        falling(f.mean_hu, 250, 350), falling(f.wide_fat, 0.3, 0.6), rising(f.longest_mm, 12, 18),
        rising(f.width_mm, 6, 12), falling(f.smoothness, 0.64, 0.76), falling(f.variation, 0.14, 0.22),
        rising(f.fill, 0.3, 0.6),
    )  # fmt: skip


def _chondroid_foci(f: Features) -> float:
    """Rings, arcs and stipples apart from each other."""
    return (0.6 + 0.4 * rising(f.ring_share, 0.04, 0.15)) * _all(
        rising(f.foci_count, 1, 2), falling(f.fill, 0.3, 0.6), rising(f.wall_mm, 0.8, 1.4),
        falling(f.wall_mm, 3.5, 5.0), rising(f.focus_size_mm, 3.0, 5.0), falling(f.focus_size_mm, 10, 16),
        falling(f.focus_alignment, 0.6, 0.9),
    )  # fmt: skip


def _chondroid_mass(f: Features) -> float:
    """Rings run together in a lobulated mass that is watery, as cartilage is, with mineral throughout."""
    return (0.4 + 0.6 * rising(f.core_tail_hu, 10, 40)) * _all(
        rising(f.swelling_hu, 10, 20), rising(f.ring_share, 0.05, 0.15), falling(f.smoothness, 0.55, 0.7),
        falling(f.wall_mm, 3.5, 5.0), rising(f.longest_mm, 10, 15),
    )  # fmt: skip


def _marrow(f: Features) -> float:
    """Fat between trabeculae: a core of uneven density whose middle is fatty."""
    if f.core_hu is None:
        return 0.0
    return _all(rising(f.core_tail_hu, 8, 35), falling(f.core_hu, 120, 320))


def _fluid_or_fat(f: Features) -> float:
    """Old blood or pure fat; what lies between is marrow, fat mixed with trabeculae too fine to see."""
    if f.core_hu is None:
        return 0.0
    return max(_all(rising(f.core_hu, -20, 0), falling(f.core_hu, 28, 42)), falling(f.core_hu, -70, -45))


def is_along_fascia(f: Features) -> bool:
    """Whether the mineral lies along the investing fascia, where sheets are at home."""
    return f.to_fascia_mm is not None and f.to_fascia_mm <= ALONG_FASCIA_MM


def _sheet_layer(f: Features) -> float:
    """Sheets lie along the fascia or in the fat over it, not in a mass that has replaced the fat."""
    in_fat = rising(f.near_fat, 0.2, 0.5) if f.layer is DepthClass.SUBCUTANEOUS else 0.0
    return max(falling(f.to_fascia_mm, 3.0, 7.0), 0.9 * in_fat, 0.45)
