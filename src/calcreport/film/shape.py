"""What a finding looks like in projection, as numbers with names, and the pattern read from them (film.toml)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcreport.film.outline import Outline, diameters
from calcreport.film.reduced import Floats, Mask
from calcreport.model.film import PixelMask
from calcreport.model.pattern_table import PatternTable, read_table, score_patterns
from calcreport.model.report import Confidence, Pattern, YesNo
from calcreport.model.terms import INDETERMINATE_PATTERN, PATTERN_LABELS
from calcreport.resources import packaged_text

_SECTORS: Final = 24  # around the middle, 15 degrees each
_SHARES: Final = ("roundness", "elongation", "linear_share", "rim_share", "lucent_share")  # features as they are
_RIM_EXCESS: Final = 1.15  # A rim is denser than what it encloses by at least this factor


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmShape:
    """Shape of a finding on one film; lengths in mm, or in the guessed millimetres of a film without a scale."""

    count: int
    """Separate foci."""
    longest_mm: float
    across_mm: float
    """Of the whole finding."""
    largest_focus_mm: float
    """Longest diameter of the largest focus."""
    median_focus_mm: float
    """Median longest diameter of the foci."""
    roundness: float
    """Median over the foci of area over that of the disc on the longest diameter, 0 to 1."""
    elongation: float
    """Median over the foci of longest over perpendicular extent."""
    linear_share: float
    """Share of the mineral's length in foci at least four times as long as wide."""
    rim_share: float
    """Share of the circle around the largest focus' middle on which the edge is denser than the middle, 0 to 1."""
    lucent_share: float
    """Share of the round foci with a less dense centre."""
    parallel_mm: float
    """Length over which two linear foci run side by side, 2 to 12 mm apart."""


def describe_shape(outlines: Sequence[Outline], intensity: Floats, spacing_mm: tuple[float, float]) -> FilmShape:
    """Describe the foci of one finding on a film of shape ``(rows, columns)``; spacing by rows and by columns."""
    lengths, widths, rounds, rims = [], [], [], []
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    for outline in outlines:
        long, wide, _i, _j = diameters(outline.points * spacing_mm)
        filled = ndimage.binary_fill_holes(outline.mask.pixels)
        lengths.append(long)
        widths.append(max(wide, 1e-6))
        rounds.append(min(1.0, float(filled.sum()) * pixel_mm2 / (np.pi / 4 * max(long, 1e-6) ** 2)))
        rims.append(_rim_share(outline.mask, filled, intensity))
    length, width = np.array(lengths), np.array(widths)
    whole = diameters(np.concatenate([outline.points for outline in outlines]) * spacing_mm)
    linear = length >= 4 * width
    round_foci = [rim for rim, roundness in zip(rims, rounds, strict=True) if roundness > 0.6]
    return FilmShape(
        count=len(outlines),
        longest_mm=whole[0],
        across_mm=whole[1],
        largest_focus_mm=float(length.max()),
        median_focus_mm=float(np.median(length)),
        roundness=float(np.median(rounds)),
        elongation=float(np.median(length / width)),
        linear_share=float(length[linear].sum() / length.sum()),
        rim_share=rims[int(length.argmax())],
        lucent_share=float(np.mean([rim > 0.8 for rim in round_foci])) if round_foci else 0.0,
        parallel_mm=_parallel_mm(
            [outline for outline, long in zip(outlines, length >= 3 * width, strict=True) if long], spacing_mm
        ),
    )


def _rim_share(mask: PixelMask, filled: Mask, intensity: Floats) -> float:
    """Share of the sectors around the middle in which the outer third is denser than the middle of the focus."""
    box = mask.box
    grey = np.asarray(intensity[box], dtype=np.float64)
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(filled, 1)))[1:-1, 1:-1]
    deepest = float(depth.max())
    if deepest < 4:
        return 0.0
    grey -= _slope(grey, filled & (depth <= 2))
    base = float(np.percentile(grey[filled], 2))
    middle = filled & (depth > 0.6 * deepest)
    edge = filled & (depth < 0.45 * deepest) & (depth > 1)
    centre = np.argwhere(middle).mean(axis=0)
    rows, columns = np.nonzero(edge)
    sector = ((np.arctan2(rows - centre[0], columns - centre[1]) / (2 * np.pi) % 1) * _SECTORS).astype(int)
    limit = base + _RIM_EXCESS * (float(np.median(grey[middle])) - base)
    smooth = ndimage.gaussian_filter(grey, 1.0)[rows, columns]
    return float(
        np.mean([bool((sector == n).any() and np.percentile(smooth[sector == n], 80) > limit) for n in range(_SECTORS)])
    )


def _slope(grey: NDArray[np.float64], outline: Mask) -> NDArray[np.float64]:
    """Plane through the grey along the outline, shape of `grey`: a limb's thickness falls off across a mass in it."""
    rows, columns = np.nonzero(outline)
    design = np.stack((np.ones(len(rows)), rows, columns), axis=1)
    level, down, right = (float(value) for value in np.linalg.lstsq(design, grey[outline], rcond=None)[0])
    return np.asarray(level + down * np.arange(grey.shape[0])[:, None] + right * np.arange(grey.shape[1])[None, :])


def _parallel_mm(outlines: Sequence[Outline], spacing_mm: tuple[float, float]) -> float:
    """Length over which linear foci run side by side as the two walls of a vessel do, mm."""
    if len(outlines) < 2:
        return 0.0
    points = [outline.points * spacing_mm for outline in outlines]
    everything = np.concatenate(points)
    centre = everything.mean(axis=0)
    direction = np.linalg.eigh(np.cov((everything - centre).T))[1][:, 1]
    normal = np.array([-direction[1], direction[0]])
    bins: dict[int, list[float]] = {}
    for part in points:
        along, aside = (part - centre) @ direction, (part - centre) @ normal
        for slot in np.unique((along // 2).astype(int)):
            bins.setdefault(int(slot), []).append(float(aside[(along // 2).astype(int) == slot].mean()))
    paired = [slot for slot, aside in bins.items() if len(aside) > 1 and 1.5 <= max(aside) - min(aside) <= 12]
    return 2.0 * len(paired)


TRACK_MM: Final = 40.0  # Parallel walls of this length are certain
COMPLETE: Final = 0.95  # Share of the circumference below which a gap in the rim is seen
MIN_SCORE: Final = 0.5  # Lowest score of a pattern that is named
MORPHOLOGY: Final = {
    "P01": "phlebolith-like", "P02": "tram-track", "P05": "rim", "P09": "amorphous", "P10": "plate",
    "P11": "sheet-like", "P14": "punctate", "P20": "clustered",
}  # fmt: skip
"""Plain shape of each pattern."""
LABELS: Final = {name: PATTERN_LABELS[name] for name in (*MORPHOLOGY, INDETERMINATE_PATTERN)}
"""Patterns that a film may show."""


@lru_cache(maxsize=1)
def film_table() -> PatternTable:
    """Table of the patterns that a film may show."""
    fields = {field.name for field in dataclasses.fields(FilmShape)}
    return read_table(packaged_text("calcification/patterns/film.toml"), frozenset(fields | {"slimness"}))


def read_film_pattern(shape: FilmShape) -> Pattern:
    """Pattern of a finding; P30 when nothing fits. Confidence is low, for the clearest shapes moderate."""
    values = dataclasses.asdict(shape) | {"slimness": shape.longest_mm / max(shape.across_mm, 1e-6)}
    graded = {name: float(grade) for name, (grade, _) in score_patterns(values, film_table()).items() if grade > 0}
    ranked = sorted(graded.items(), key=lambda item: -item[1])
    best = ranked[0][0] if ranked and ranked[0][1] >= MIN_SCORE else INDETERMINATE_PATTERN
    return Pattern(
        id=best, label=LABELS[best], confidence=_confidence(best, shape), scores=dict(ranked[:5]),
        features=_features(shape, best),
    )  # fmt: skip


def _confidence(best: str, shape: FilmShape) -> Confidence:
    is_clear = (best == "P01" and (shape.lucent_share >= 0.5 or shape.count >= 3)) or (
        best == "P02" and shape.parallel_mm >= TRACK_MM
    )
    return Confidence.MODERATE if is_clear else Confidence.LOW


def _features(shape: FilmShape, best: str) -> dict[str, float | int | bool | str | None]:
    """Named features the rules know, and the numbers they rest on; what a film cannot show stays unknown."""
    # a gap that is seen is a gap; but one view never shows that a shell is closed in front and behind as well
    part = YesNo.YES if best == "P05" and shape.rim_share < COMPLETE else YesNo.UNKNOWN
    morphology = MORPHOLOGY.get(best) or _morphology(shape)
    lucent = YesNo.YES if best == "P01" and shape.lucent_share >= 0.5 else YesNo.UNKNOWN
    return {
        "rim_complete": YesNo.UNKNOWN.value,
        "rim_incomplete": part.value,
        "lucent_centre": lucent.value,
        "morphology": morphology,
        "count": shape.count,
        **{name: round(getattr(shape, name), 3) for name in _SHARES},
        "parallel_share": round(min(1.0, shape.parallel_mm / max(shape.longest_mm, 1e-6)), 3),
    }


def _morphology(shape: FilmShape) -> str:
    """Plain shape, in the words of CT: what is said when no pattern is characteristic; limits are proposals."""
    if shape.longest_mm <= 10.0:
        return "clustered" if shape.count > 2 else "punctate"
    words = {
        "clustered": shape.count > 2, "rim": shape.rim_share >= COMPLETE, "linear": shape.linear_share > 0.5,
        "sheet-like": shape.longest_mm > 25.0, "amorphous": True,
    }  # fmt: skip
    return next(word for word, is_met in words.items() if is_met)
