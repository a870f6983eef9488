"""Findings of two orthogonal views: tied where the films tell that they are one lesion, and only there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from calcphantom.film.kinds import random_films
from calcphantom.film.recipe import ExposureRecipe, FilmRecipe, View
from calcphantom.film.study import make_films
from calcphantom.recipe import Extra, Layer, LesionRecipe, PhantomRecipe, Region
from scipy import ndimage

from calcreport.film.analysis import ONLY_MATCH, analyse_films, tie_views
from calcreport.film.one_film import FilmFinding, SearchedFilm
from calcreport.film.registration import film_profile, register
from calcreport.film.shape import FilmShape
from calcreport.film.views import is_lateral, pair_views
from calcreport.model.film import (
    FilmImage,
    FilmReading,
    FilmScale,
    FilmSegment,
    FilmView,
    PixelMask,
    ScaleKind,
    Shadow,
)
from calcreport.model.image import SliceReference
from calcreport.model.report import BoneRelation

DETECTOR = FilmScale(kind=ScaleKind.DETECTOR, spacing_mm=(0.25, 0.25))
NO_SCALE = FilmScale(kind=ScaleKind.NONE)
NOISE = 10.0
FRONTAL, LATERAL = ("R", "F"), ("P", "F")
USUAL = ("", "")
"""Patient Orientation as the view makes it."""
COARSE = ExposureRecipe(pixel_mm=0.25, energy_kev=41.0, scatter_ratio=0.3)
SHAPES: dict[str, dict[str, Any]] = {
    "P01": {"roundness": 0.9},
    "P02": {"parallel_mm": 40.0, "linear_share": 0.9, "longest_mm": 40.0, "largest_focus_mm": 40.0, "elongation": 10.0},
    "P30": {"roundness": 0.2, "largest_focus_mm": 20.0},
}


def shape_of(pattern: str) -> FilmShape:
    """A shape that is read as the pattern."""
    plain = FilmShape(
        count=2,
        longest_mm=10.0,
        across_mm=8.0,
        largest_focus_mm=5.0,
        median_focus_mm=5.0,
        roundness=0.3,
        elongation=1.2,
        linear_share=0.0,
        rim_share=0.0,
        lucent_share=0.0,
        parallel_mm=0.0,
    )
    return replace(plain, **SHAPES[pattern])


def finding(
    number: int,
    pixels: np.ndarray,
    *,
    pattern: str = "P30",
    over_bone: bool = False,
    clearness: float = 10.0,
    cut: bool = False,
) -> FilmFinding:
    """A finding on film `number` with the mask given on the whole film."""
    rows, columns = np.nonzero(pixels)
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    line = FilmSegment(start=(0.0, 0.0), end=(1.0, 1.0), length_px=1.0, length_mm=1.0)
    shadow = Shadow(
        film=number,
        mineral=PixelMask(offset=(box[0].start, box[1].start), pixels=pixels[box].copy()),
        longest=line,
        across=line,
        to_skin_line=None,
        contrast_to_noise=clearness,
        is_over_bone=over_bone,
        is_cut=cut,
    )
    return FilmFinding(shadow=shadow, shape=shape_of(pattern), focus_lengths=(1.0,))


def searched(*findings: FilmFinding) -> SearchedFilm:
    reading = FilmReading(noise=NOISE, searched_share=0.5, has_skin_line=True)
    return SearchedFilm(reading=reading, findings=findings, excluded=())


@cache
def limb(
    *,
    joint_mm: float | None,
    lateral: bool,
    side: str | None = "right",
    part: str | None = "LEG",
    position: str | None = None,
    orientation: tuple[str, str] | None = USUAL,
    scale: FilmScale = DETECTOR,
    swelling: float = 0.1,
    waist_mm: float | None = None,
) -> FilmImage:
    """A straight limb of 200 mm in air, round from the front and from the side; at `joint_mm` it is thicker by a tenth.

    The grey of every pixel is the way through it, and so the rows add up to the same on both views.
    """
    rows, columns = 800, 480
    z = (np.arange(rows) + 0.5) * 0.25
    wide, deep = (40.0, 30.0) if not lateral else (30.0, 40.0)
    bulge = 1.0 if joint_mm is None else 1 + swelling * np.exp(-(((z - joint_mm) / 8.0) ** 2))
    if waist_mm is not None:
        bulge = bulge - 0.08 * np.exp(-(((z - waist_mm) / 8.0) ** 2))
    x = ((np.arange(columns) - columns / 2 + 0.5) * 0.25)[None, :] / wide
    way = np.sqrt(np.maximum(0.0, 1 - x**2)) * deep * np.reshape(bulge, (-1, 1))
    grey = way * 20 + 100 + np.random.default_rng(int(lateral)).normal(0, 10, (rows, columns))
    if orientation is USUAL:
        orientation = LATERAL if lateral else FRONTAL
    return FilmImage(
        intensity=grey.astype(np.float32),
        picture=np.zeros((rows, columns), dtype=np.uint8),
        is_imaged=np.ones((rows, columns), dtype=bool),
        scale=scale,
        view=FilmView(
            position=position or ("LL" if lateral else "AP"),
            laterality=side,
            body_part=part,
            patient_orientation=orientation,
        ),
        reference=SliceReference(sop_instance_uid=f"1.2.{int(lateral) + 1}", instance_number=int(lateral) + 1),
    )


def block(height_mm: float, *, length_mm: float = 10.0, width_mm: float = 10.0) -> np.ndarray:
    """A mask of the films of `limb`, its middle at a height."""
    pixels = np.zeros((800, 480), dtype=bool)
    low, half = round((height_mm - length_mm / 2) * 4), round(width_mm * 2)
    pixels[low : low + round(length_mm * 4), 240 - half : 240 + half] = True
    return pixels


@pytest.mark.parametrize(
    ("position", "expected"), [("AP", False), ("PA", False), ("LL", True), ("RL", True), ("RAO", None), (None, None)]
)
def test_a_view_is_frontal_or_lateral_only_where_its_position_says_so(position: str, expected: bool | None) -> None:
    assert is_lateral(position) is expected


@pytest.mark.parametrize(
    ("first", "second", "others", "expected"),
    [
        ({}, {}, (), ""),
        ({"part": None}, {}, (), ""),
        ({}, {"side": "left"}, (), None),
        ({"side": "both"}, {"side": "both"}, (), None),
        ({"side": None}, {}, (), None),
        ({}, {"part": "THIGH"}, (), None),
        ({"side": None}, {"side": None}, (), ""),
        ({"side": None, "part": None}, {"side": None, "part": None}, (), None),
        ({"side": None}, {"side": None}, ({"side": "left", "position": "RAO"},), None),
        ({"side": None}, {"side": None}, ({"side": "left", "part": "HAND"},), ""),
        ({"position": "RAO"}, {}, (), None),
        ({}, {}, ({},), "several frontal"),
        ({"scale": NO_SCALE}, {}, (), "no scale"),
        ({"scale": NO_SCALE}, {"scale": NO_SCALE}, (), "no scale"),
        ({"scale": FilmScale(kind=ScaleKind.CALIBRATED, spacing_mm=(0.25, 0.25))}, {}, (), "different planes"),
        ({"orientation": ("F", "R")}, {}, (), "does not run along the rows"),
        ({"orientation": None}, {}, (), ""),
    ],
)
def test_films_are_a_pair_when_the_headers_say_so(
    first: dict[str, Any], second: dict[str, Any], others: tuple[dict[str, Any], ...], expected: str | None
) -> None:
    films = [limb(joint_mm=None, lateral=False, **first), limb(joint_mm=None, lateral=True, **second)]
    films += [limb(joint_mm=None, lateral=False, **other) for other in others]
    pairs = [pair for pair in pair_views(films) if (pair.frontal, pair.lateral) == (0, 1)]
    assert len(pairs) == (expected is not None)
    if expected is not None:
        assert expected in pairs[0].obstacle
        assert bool(expected) == bool(pairs[0].obstacle)


def test_a_joint_tells_the_height_wherever_the_film_was_held() -> None:
    frontal, lateral = limb(joint_mm=60.0, lateral=False), limb(joint_mm=92.0, lateral=True)
    found = register(film_profile(frontal), film_profile(lateral))
    assert found is not None
    place, off = found.place(60.0)
    assert place == pytest.approx(92.0, abs=2.0)
    assert off < 5.0


def test_a_shaft_tells_no_height() -> None:
    profiles = [film_profile(limb(joint_mm=None, lateral=lateral)) for lateral in (False, True)]
    assert register(profiles[0], profiles[1]) is None


def test_a_joint_on_one_film_only_tells_no_height() -> None:
    profiles = [film_profile(limb(joint_mm=joint, lateral=joint is None)) for joint in (60.0, None)]
    assert register(profiles[0], profiles[1]) is None


@pytest.mark.parametrize("change", [{"swelling": 0.25}, {"waist_mm": 120.0}, {"swelling": -0.1}])
def test_another_limb_tells_no_height(change: dict[str, float]) -> None:
    first = film_profile(limb(joint_mm=60.0, lateral=False))
    second = film_profile(limb(joint_mm=60.0, lateral=True, **change))
    assert register(first, second) is None


@pytest.mark.parametrize("swelling", [0.0, 0.001])
def test_noise_tells_no_height(swelling: float) -> None:
    first, second = (film_profile(limb(joint_mm=60.0, lateral=n, swelling=swelling)) for n in (False, True))
    assert register(first, second) is None
    # the same noise on both, as a grid or a dirty plate leaves it
    assert register(first, first) is None


@pytest.mark.parametrize(("over_bone", "is_tied"), [(False, False), (True, True)])
def test_what_stands_out_much_more_is_another_lesion_unless_bone_lies_over_it(over_bone: bool, is_tied: bool) -> None:
    denser = finding(1, block(120), clearness=30.0, over_bone=over_bone)
    assert bool(tie((finding(0, block(100)),), (denser,))[0]) is is_tied


def tie(
    first: tuple[FilmFinding, ...], second: tuple[FilmFinding, ...], *, joint_mm: float | None = 60.0, **header: Any
) -> tuple[list[tuple[int, ...]], tuple[str, ...], tuple[str, ...]]:
    """Rows of what was tied, sorted; notes of the tied; notes of the study. The lateral film was held 20 mm higher."""
    shifted = None if joint_mm is None else joint_mm + 20.0
    films = (
        limb(joint_mm=joint_mm, lateral=False),
        limb(joint_mm=shifted, lateral=True, **header),
    )
    tied, notes = tie_views(films, (searched(*first), searched(*second)))
    assert sum(len(part.findings) for part in tied) == len(first) + len(second)
    both = [part for part in tied if len(part.findings) == 2]
    rows = sorted(tuple(sorted(f.shadow.mineral.pixels.shape[0] for f in part.findings)) for part in both)
    return rows, tuple(note for part in both for note in part.notes), notes


def test_what_lies_at_one_height_is_tied() -> None:
    first = (finding(0, block(100, length_mm=10)), finding(0, block(150, length_mm=10)))
    second = (finding(1, block(170, length_mm=11)), finding(1, block(120, length_mm=11)))
    assert tie(first, second) == ([(40, 44), (40, 44)], (), ())


def test_a_film_stored_upside_down_is_turned() -> None:
    first = (finding(0, block(100)), finding(0, block(150)))
    film = limb(joint_mm=80.0, lateral=True)
    turned = replace(
        film,
        intensity=film.intensity[::-1].copy(),
        view=replace(film.view, patient_orientation=("P", "H")),
    )
    films = (limb(joint_mm=60.0, lateral=False), turned)
    second = (finding(1, block(80)), finding(1, block(30)))
    tied, notes = tie_views(films, (searched(*first), searched(*second)))
    assert notes == ()
    assert [[f.shadow.mineral.offset[0] for f in part.findings] for part in tied] == [[380, 300], [580, 100]] or [
        sorted(f.shadow.mineral.offset[0] for f in part.findings) for part in tied
    ] == [[300, 380], [100, 580]]


def test_two_alike_at_one_height_are_not_tied() -> None:
    first = (finding(0, block(100)), finding(0, block(102)))
    for second in ((finding(1, block(120)), finding(1, block(121))), (finding(1, block(120)),)):
        rows, _, notes = tie(first, second)
        assert rows == []
        assert "more than one finding lies at the same height" in notes[0]


def test_what_lies_elsewhere_is_not_tied_even_alone() -> None:
    assert tie((finding(0, block(100)),), (finding(1, block(160)),)) == ([], (), ())


@pytest.mark.parametrize(("length_mm", "is_tied"), [(10, True), (13, True), (17, False), (6, False)])
def test_lengths_along_the_limb_must_agree(length_mm: float, is_tied: bool) -> None:
    rows, _, notes = tie((finding(0, block(100)),), (finding(1, block(120, length_mm=length_mm)),))
    assert bool(rows) is is_tied
    assert [("differ in length" in note) for note in notes] == [True] * (not is_tied)


@pytest.mark.parametrize(("pattern", "is_tied"), [("P01", True), ("P30", True), ("P02", False)])
def test_patterns_must_not_contradict_each_other(pattern: str, is_tied: bool) -> None:
    rows, _, notes = tie((finding(0, block(100), pattern="P01"),), (finding(1, block(120), pattern=pattern),))
    assert bool(rows) is is_tied
    assert bool(notes) is not is_tied


def test_vessels_are_tied_by_what_they_have_in_common() -> None:
    first = (finding(0, block(120, length_mm=80), pattern="P02"), finding(0, block(120), pattern="P01"))
    second = (finding(1, block(150, length_mm=30), pattern="P02"), finding(1, block(140), pattern="P01"))
    assert tie(first, second)[0] == [(40, 40), (120, 320)]


def test_without_a_height_the_only_finding_of_each_view_is_tied_and_said_so() -> None:
    rows, told, notes = tie((finding(0, block(60)),), (finding(1, block(150)),), joint_mm=None)
    assert rows == [(40, 40)]
    assert told == (ONLY_MATCH,)
    assert notes == ()


@pytest.mark.parametrize(
    "second",
    [
        (finding(1, block(120)), finding(1, block(160))),
        (finding(1, block(120, length_mm=13)),),
        (finding(1, block(120), clearness=25.0),),
        (finding(1, block(120), cut=True),),
        (finding(1, block(120), pattern="P02"),),
    ],
    ids=["two", "longer", "denser", "cut", "vessel"],
)
def test_without_a_height_nothing_else_is_tied(second: tuple[FilmFinding, ...]) -> None:
    rows, _, notes = tie((finding(0, block(100), pattern="P01"),), second, joint_mm=None)
    assert rows == []
    assert "nothing on the films tells which height" in notes[0]


@pytest.mark.parametrize(
    ("header", "is_said"), [({"side": "left"}, False), ({"scale": NO_SCALE}, True), ({"orientation": ("F", "P")}, True)]
)
def test_films_that_are_no_pair_are_not_tied(header: dict[str, Any], is_said: bool) -> None:
    rows, _, notes = tie((finding(0, block(100)),), (finding(1, block(120)),), **header)
    assert rows == []
    assert bool(notes) is is_said


def test_the_view_off_bone_comes_first_then_the_clearer() -> None:
    films = (limb(joint_mm=60.0, lateral=False), limb(joint_mm=80.0, lateral=True))
    for over_bone, clearness, first in ((True, 20.0, 1), (False, 20.0, 0), (False, 8.0, 1)):
        here = finding(0, block(100), over_bone=over_bone, clearness=clearness)
        tied, _ = tie_views(films, (searched(here), searched(finding(1, block(120)))))
        assert tied[0].findings[0].shadow.film == first


@cache
def study(seed: int) -> tuple[tuple[FilmImage, ...], tuple[np.ndarray, ...]]:
    """Films of a random study of two views and the number of the lesion at each pixel."""
    recipe = random_films(seed)
    exposure = replace(recipe.exposure, pixel_mm=0.4)
    films, truth = make_films(replace(recipe, views=(View.AP, View.LATERAL), exposure=exposure))
    return films, tuple(film.mineral for film in truth.films)


def cropped(film: FilmImage, mineral: np.ndarray, top: int, bottom: int) -> tuple[FilmImage, np.ndarray]:
    """The film without some of its rows, as if it had been held lower or higher."""
    kept = slice(top, film.intensity.shape[0] - bottom)
    arrays = {name: getattr(film, name)[kept].copy() for name in ("intensity", "picture", "is_imaged")}
    return replace(film, **arrays), mineral[kept]


def true_findings(
    film: FilmImage, mineral: np.ndarray, number: int, *, missed: np.ndarray
) -> tuple[tuple[int, FilmFinding], ...]:
    """What is true of a film as if it had been found, less what is missed."""
    found = []
    for lesion in np.unique(mineral[mineral >= 0]):
        pixels = ndimage.binary_opening(mineral == lesion)
        if pixels.sum() < 10 or missed[lesion]:
            continue
        around = ndimage.binary_dilation(pixels, iterations=8) & ~ndimage.binary_dilation(mineral >= 0, iterations=3)
        contrast = float(film.intensity[pixels].mean() - np.median(film.intensity[around]))
        found.append((int(lesion), finding(number, pixels, clearness=max(contrast, 1.0) / NOISE)))
    return tuple(found)


SEEDS = (29, 32, 36, 40, 48, 65, 66, 78, 80, 86)


@pytest.mark.accuracy
@pytest.mark.slow
def test_what_is_tied_is_one_lesion_wherever_the_films_were_held() -> None:
    """Lesions are missed at random, rows left out at random: no pair of different lesions is ever tied."""
    right = 0
    for seed in SEEDS:
        (frontal, lateral), minerals = study(seed)
        rng = np.random.default_rng(seed)
        for top, bottom in ((0, 0), (90, 0), (0, 90)):
            film, mineral = cropped(lateral, minerals[1], top, bottom)
            labelled = tuple(
                true_findings(image, m, n, missed=rng.uniform(size=8) < 0.3)
                for n, (image, m) in enumerate(((frontal, minerals[0]), (film, mineral)))
            )
            names = {id(f): lesion for part in labelled for lesion, f in part}
            tied, _ = tie_views((frontal, film), tuple(searched(*(f for _, f in part)) for part in labelled))
            for part in tied:
                lesions = {names[id(f)] for f in part.findings}
                assert len(lesions) == 1, (seed, top, bottom, lesions)
                right += len(part.findings) == 2 and not part.notes
    assert right >= 12


@pytest.mark.accuracy
@pytest.mark.slow
def test_films_of_different_patients_do_not_match() -> None:
    profiles = {seed: [film_profile(film) for film in study(seed)[0]] for seed in SEEDS}
    # knees may match: a joint looks like another one
    knees = {seed for seed in SEEDS if Extra.KNEE_END in random_films(seed).phantom.extras}
    pairs = [(a, b) for a in profiles for b in profiles if a != b and not {a, b} <= knees]
    matched = [(a, b) for a, b in pairs if register(profiles[a][0], profiles[b][1]) is not None]
    assert len(matched) <= len(pairs) // 30


@pytest.mark.accuracy
@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["P01", "P05"])
def test_two_views_of_one_lesion_are_one_lesion_of_the_report(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A knee gives the height; in place of the search, what is true of each film is found on it."""
    phantom = PhantomRecipe(
        kind="tied",
        region=Region.CALF,
        seed=3,
        lesions=(LesionRecipe(pattern=pattern, diameter_mm=28.0, hu=1100.0, layer=Layer.SUBFASCIAL),),
        extras=(Extra.KNEE_END,),
        length_mm=210.0,
    )
    films, truth = make_films(FilmRecipe(phantom=phantom, exposure=COARSE))
    shadows = [film.shadows[0] for film in truth.films]

    def search(film: FilmImage, number: int) -> SearchedFilm:
        ((_, found),) = true_findings(film, truth.films[number].mineral, number, missed=np.zeros(1, dtype=bool))
        longest = FilmSegment(
            start=(0.0, 0.0), end=(1.0, 1.0), length_px=shadows[number].longest_px, length_mm=shadows[number].longest_mm
        )
        is_first = number == 0
        return searched(
            replace(
                found,
                shadow=replace(found.shadow, longest=longest, across=longest, is_over_bone=is_first),
                shape=shape_of("P30" if not is_first else "P01"),
            )
        )

    monkeypatch.setattr("calcreport.film.analysis.search_film", search)
    findings = analyse_films(films)
    assert findings.notes == ()
    (lesion,) = findings.lesions
    assert [shadow.film for shadow in lesion.shadows] == [1, 0]
    assert [place.view for place in lesion.location.films] == ["RL", "AP"]
    assert lesion.notes == ()
    # one view clear of bone proves the lesion apart from it; one view with a pattern names it
    assert lesion.bone_relation is BoneRelation.SEPARATE
    assert lesion.pattern.id == "P01"
    boxes = [(np.array(shadow.box[2:]) - shadow.box[:2]) * COARSE.pixel_mm for shadow in shadows]
    assert lesion.size.max_diameter_mm == max(shadow.longest_mm for shadow in shadows)
    assert lesion.size.cc_mm == pytest.approx(max(boxes[0][0], boxes[1][0]), abs=1.0)
    assert lesion.size.tr_mm == pytest.approx(boxes[0][1], abs=1.0)
    assert lesion.size.ap_mm == pytest.approx(boxes[1][1], abs=1.0)
    assert lesion.size.projected


@pytest.mark.parametrize(
    ("views", "is_told"),
    [
        ((FRONTAL, LATERAL), True),
        ((FRONTAL, None), False),
        ((("L", "H"), LATERAL), True),
        ((FRONTAL, ("F", "P")), None),
    ],
)
def test_extents_are_told_only_where_both_headers_name_the_axes(
    views: tuple[tuple[str, str] | None, ...], is_told: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = tuple(limb(joint_mm=None, lateral=bool(n), orientation=orientation) for n, orientation in enumerate(views))
    films = (films[0], films[1])
    monkeypatch.setattr(
        "calcreport.film.analysis.search_film",
        lambda _film, number: searched(finding(number, block(100), over_bone=True)),
    )
    findings = analyse_films(films)
    sizes = [lesion.size for lesion in findings.lesions]
    assert len(sizes) == (2 if is_told is None else 1)
    assert all(lesion.bone_relation is BoneRelation.CANNOT_DETERMINE for lesion in findings.lesions)
    for size in sizes:
        extents = (size.ap_mm, size.tr_mm, size.cc_mm)
        assert None not in extents if is_told else extents == (None, None, None)
