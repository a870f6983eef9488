"""The score of a search of films: perfect marks score perfectly, wrong ones do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from calcphantom.film.recipe import ExposureRecipe, FilmRecipe, View
from calcphantom.film.scoring import FilmStudyScore, Naming, score_films
from calcphantom.film.study import make_films
from calcphantom.film.summary import false_per_film, film_figures, film_tables
from calcphantom.film.truth import FilmStudyTruth, FilmTruth
from calcphantom.recipe import Layer, LesionRecipe, PhantomRecipe, Region
from scipy import ndimage

from calcreport.model.film import FilmFindings, FilmImage, FilmSegment, PixelMask, Shadow
from calcreport.model.report import BoneRelation, Confidence

STONE = LesionRecipe(pattern="P01", diameter_mm=9.0, hu=1500.0, layer=Layer.SUBCUTANEOUS)
RECIPE = FilmRecipe(
    phantom=PhantomRecipe(kind="score", region=Region.CALF, seed=5, lesions=(STONE,), length_mm=60.0),
    views=(View.LATERAL,),
    exposure=ExposureRecipe(pixel_mm=0.4),
)
Study = tuple[tuple[FilmImage, ...], FilmStudyTruth]


@pytest.fixture(scope="module")
def study() -> Study:
    films, truth = make_films(RECIPE)
    assert truth.films[0].shadows[0].foci[0].is_required
    return films, truth


def segment(length_px: float) -> FilmSegment:
    return FilmSegment(start=(0.0, 0.0), end=(0.0, length_px), length_px=length_px, length_mm=None)


def findings(
    study: Study,
    *masks: np.ndarray,
    pattern: str = "P01",
    is_over_bone: bool = False,
    confidence: Confidence = Confidence.LOW,
) -> FilmFindings:
    """Reported shadows of the given masks, with the lengths of the truth."""
    known = study[1].films[0].shadows[0]
    lesions = [
        SimpleNamespace(
            pattern=SimpleNamespace(id=pattern, confidence=confidence),
            bone_relation=BoneRelation.SEPARATE,
            shadows=(
                Shadow(
                    film=0,
                    mineral=PixelMask(offset=(0, 0), pixels=mask),
                    longest=segment(known.longest_px),
                    across=segment(known.across_px),
                    to_skin_line=segment(known.to_skin_line_px),
                    contrast_to_noise=9.0,
                    is_over_bone=is_over_bone,
                    is_cut=False,
                ),
            ),
        )
        for mask in masks
    ]
    return SimpleNamespace(films=study[0], lesions=tuple(lesions))  # type: ignore[return-value]


def true_mask(film: FilmTruth) -> np.ndarray:
    return np.asarray(film.mineral == 0)


def rim(mask: np.ndarray) -> np.ndarray:
    return np.asarray(mask & ~ndimage.binary_erosion(mask, iterations=3))


@pytest.mark.parametrize("drawn", [lambda m: m, rim], ids=["whole", "rim only"])
def test_a_mark_on_the_lesion_finds_it_without_error(drawn: Callable[[np.ndarray], np.ndarray], study: Study) -> None:
    score = score_films(findings(study, drawn(true_mask(study[1].films[0]))), study[1])
    shadow = score.films[0].shadows[0]
    assert all(focus.is_found for focus in shadow.foci)
    assert score.films[0].false == ()
    assert (shadow.size_error_mm, shadow.size_excess, shadow.skin_error_mm) == pytest.approx((0.0, 0.0, 0.0))
    assert (shadow.naming, shadow.is_over_bone_right, shadow.parts) == (Naming.RIGHT, True, 1)


def _beside(mask: np.ndarray) -> np.ndarray:
    return np.roll(mask, 60, axis=0)


def _over_everything(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.binary_dilation(mask, iterations=60))


@pytest.mark.parametrize("drawn", [_beside, _over_everything])
def test_a_mark_elsewhere_or_far_too_large_is_false_and_finds_nothing(
    drawn: Callable[[np.ndarray], np.ndarray], study: Study
) -> None:
    score = score_films(findings(study, drawn(true_mask(study[1].films[0]))), study[1])
    assert len(score.films[0].false) == 1
    assert not any(focus.is_found for focus in score.films[0].shadows[0].foci)
    assert false_per_film([score]) == 1.0


def test_a_mark_on_a_corner_of_the_lesion_is_not_false_but_finds_nothing(study: Study) -> None:
    mask = true_mask(study[1].films[0])
    rows = np.flatnonzero(mask.any(axis=1))
    mask[rows[len(rows) // 6] :] = False
    score = score_films(findings(study, mask), study[1])
    assert score.films[0].false == ()
    assert not score.films[0].shadows[0].foci[0].is_found


def test_wrong_labels_lengths_and_parts_are_counted(study: Study) -> None:
    known = study[1].films[0].shadows[0]
    mask = true_mask(study[1].films[0])
    upper, lower = mask.copy(), mask.copy()
    middle = round(known.centroid[0])
    upper[middle:], lower[: middle + 1] = False, False
    said = findings(study, upper, lower, pattern="P11", is_over_bone=True)
    said.lesions[0].shadows = (replace(said.lesions[0].shadows[0], longest=segment(known.longest_px + 5.0)),)  # type: ignore[misc]
    said.lesions[1].shadows = (replace(said.lesions[1].shadows[0], longest=segment(known.longest_px + 5.0)),)  # type: ignore[misc]
    score = score_films(said, study[1])
    shadow = score.films[0].shadows[0]
    assert shadow.foci[0].is_found
    assert (shadow.naming, shadow.is_over_bone_right, shadow.parts) == (Naming.WRONG, False, 2)
    assert shadow.size_error_mm == pytest.approx(5 * 0.4)
    assert shadow.size_excess == pytest.approx(2.0 / 0.5)


def test_films_in_another_order_are_refused(study: Study) -> None:
    said = findings(study)
    other = replace(study[1], films=(replace(study[1].films[0], shape=(3, 3)),))
    with pytest.raises(ValueError, match="not those"):
        score_films(said, other)


def test_figures_sum_up_what_was_scored(study: Study) -> None:
    good = score_films(findings(study, true_mask(study[1].films[0])), study[1])
    missed: FilmStudyScore = score_films(findings(study), study[1])
    total = film_figures(s for score in (good, missed) for film in score.films for s in film.shadows)
    assert (total.required, total.found, total.foci_found) == (2, 1, 0.5)
    assert total.size_median_excess == pytest.approx(0.0)
    text = film_tables([good, missed], [])
    assert "| P01 | 2 | 2 | 1 |" in text
    assert "| all | 0 on 2 | 0 on 0 |" in text
    assert "| calf | 0 on 2 | 0 on 0 |" in text
    assert "| P01 | 100 % | 0 % | 0 % | 0 % |" in text


@pytest.mark.parametrize(
    ("pattern", "confidence", "naming"),
    [
        ("P01", Confidence.LOW, Naming.RIGHT),
        ("P09", Confidence.MODERATE, Naming.RIGHT),  # a film cannot tell it from a phlebolith
        ("P30", Confidence.LOW, Naming.INDETERMINATE),
        ("P30", Confidence.MODERATE, Naming.INDETERMINATE),
        ("P11", Confidence.LOW, Naming.WRONG),
        ("P11", Confidence.MODERATE, Naming.CONFIDENT),
    ],
)
def test_indeterminate_is_never_right(pattern: str, confidence: Confidence, naming: Naming, study: Study) -> None:
    said = findings(study, true_mask(study[1].films[0]), pattern=pattern, confidence=confidence)
    total = film_figures(score_films(said, study[1]).films[0].shadows)
    assert total.names == {each: float(each is naming) for each in Naming}


def test_a_lesion_joined_to_a_bone_must_not_be_called_separate(study: Study) -> None:
    film = study[1].films[0]
    joined = replace(film, shadows=(replace(film.shadows[0], is_joined=True),))
    said = findings(study, true_mask(film))
    total = film_figures(score_films(said, replace(study[1], films=(joined,))).films[0].shadows)
    assert (total.joined, total.joined_listed, total.joined_separate) == (1, 1, 1)


def test_the_label_over_bone_is_judged_by_the_foci_that_are_marked_too(study: Study) -> None:
    """The other sheets of a lesion may lie over bone where no mark is."""
    film = study[1].films[0]
    known = film.shadows[0]
    elsewhere = replace(known.foci[0], box=(0, 0, 3, 3), over_bone_share=1.0)
    lesion = replace(known, foci=(*known.foci, elsewhere), over_bone_share=0.5)
    said = findings(study, true_mask(film))
    score = score_films(said, replace(study[1], films=(replace(film, shadows=(lesion,)),))).films[0].shadows[0]
    assert (score.is_over_bone_right, score.is_mark_over_bone_right) == (False, True)
