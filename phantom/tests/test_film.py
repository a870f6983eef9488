"""Phantom radiographs: the same seed gives the same films, truth agrees with the pixels, files hold what films hold."""

from __future__ import annotations

import argparse
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from calcphantom import TRANSFER_SYNTAXES, add_arguments, run
from calcphantom.film.dicom import FULL_DEPTH_ONLY, write_films
from calcphantom.film.kinds import FILM_KINDS, FILM_REGIONS, exposure_of, random_films, region_films
from calcphantom.film.recipe import (
    Collimation,
    ExposureRecipe,
    FilmRecipe,
    Photometric,
    Spacing,
    View,
)
from calcphantom.film.samples import FILM_SAMPLES, FilmSample
from calcphantom.film.study import as_film_image, expose, make_films
from calcphantom.film.truth import FilmStudyTruth
from calcphantom.recipe import Extra, Layer, LesionRecipe, PhantomRecipe, Region, RoughLesionRecipe
from calcphantom.samples import folder_hash
from scipy import ndimage

from calcreport.dicom import discover, rank_films, read_film
from calcreport.errors import UsageError
from calcreport.model.clinical import parse_clinical
from calcreport.model.film import FilmImage
from calcreport.settings import ReadingSettings

SAMPLE_FOLDER = Path(__file__).parents[2] / "sample_dicoms"
COARSE = ExposureRecipe(pixel_mm=0.5)
PHANTOM = PhantomRecipe(
    kind="film-test",
    region=Region.CALF,
    seed=2,
    lesions=(LesionRecipe(pattern="P01", diameter_mm=9.0, hu=1200.0),),
    length_mm=60.0,
)
RECIPE = FilmRecipe(phantom=PHANTOM, exposure=COARSE)


@pytest.fixture(scope="module")
def study() -> tuple[tuple[FilmImage, ...], FilmStudyTruth]:
    return make_films(RECIPE)


def with_exposure(**changes: object) -> FilmRecipe:
    return replace(RECIPE, exposure=replace(COARSE, **changes))  # type: ignore[arg-type]


def test_the_same_recipe_gives_the_same_pixels_and_another_seed_others(
    study: tuple[tuple[FilmImage, ...], FilmStudyTruth],
) -> None:
    again, _ = make_films(RECIPE)
    other, _ = make_films(replace(RECIPE, phantom=replace(PHANTOM, seed=3)))
    for film, same in zip(study[0], again, strict=True):
        assert np.array_equal(film.intensity, same.intensity)
    assert study[0][0].reference != other[0].reference
    assert not np.array_equal(study[0][0].intensity[:100, :100], other[0].intensity[:100, :100])


def test_the_size_of_a_stone_is_its_own_times_its_magnification(
    study: tuple[tuple[FilmImage, ...], FilmStudyTruth],
) -> None:
    for film in study[1].films:
        shadow = film.shadows[0]
        assert 0.8 * 9.0 * film.magnification < shadow.longest_mm < 9.0 * film.magnification * 1.08
        assert shadow.longest_px == pytest.approx(shadow.longest_mm / 0.5)
        assert shadow.foci[0].longest_mm == pytest.approx(shadow.longest_mm, rel=0.02)
        assert film.magnification > 1.02


def test_truth_lies_where_the_film_is_denser(study: tuple[tuple[FilmImage, ...], FilmStudyTruth]) -> None:
    without, _ = make_films(replace(RECIPE, phantom=replace(PHANTOM, lesions=())))
    for film, bare, truth in zip(study[0], without, study[1].films, strict=True):
        gain = film.intensity - bare.intensity
        mineral = truth.mineral == 0
        assert gain[mineral].mean() > gain[~mineral].mean() + 2 * truth.noise
        row, column = truth.shadows[0].centroid
        assert mineral[round(row), round(column)]
        assert truth.skin[mineral].all()


def test_the_distance_to_the_skin_line_is_that_to_the_nearest_air(
    study: tuple[tuple[FilmImage, ...], FilmStudyTruth],
) -> None:
    for film in study[1].films:
        air = np.argwhere(~film.skin)
        mineral = np.argwhere(film.mineral == 0)
        nearest = min(float(np.hypot(*(air - point).T).min()) for point in mineral)
        assert film.shadows[0].to_skin_line_px == pytest.approx(nearest - 0.5, abs=0.01)


def test_noise_is_what_the_dose_makes_it() -> None:
    low, high = (make_films(with_exposure(quanta_per_mm2=q))[1] for q in (20000.0, 80000.0))
    assert low.films[0].noise == pytest.approx(2 * high.films[0].noise, rel=0.05)
    ratios = [t.films[1].shadows[0].foci[0].contrast_to_noise for t in (low, high)]
    assert ratios[1] == pytest.approx(2 * ratios[0], rel=0.15)


def test_only_large_dense_foci_off_bone_are_asked_for() -> None:
    found = [
        (focus.is_required, focus.longest_mm, focus.contrast_to_noise, focus.over_bone_share)
        for seed in (10, 12)
        for film in make_films(random_films(seed))[1].films
        for shadow in film.shadows
        for focus in shadow.foci
    ]
    assert any(row[0] for row in found)
    assert any(not row[0] for row in found)
    assert all(size >= 3 and ratio >= 5 and bone == 0 for required, size, ratio, bone in found if required)


def test_a_second_leg_is_seen_from_the_front_only() -> None:
    phantom = replace(PHANTOM, lesions=PHANTOM.lesions * 2, extras=(Extra.SECOND_LEG,), region=Region.THIGH)
    films, truth = make_films(replace(RECIPE, phantom=phantom))
    assert [len(film.shadows) for film in truth.films] == [2, 1]
    assert films[0].view.laterality == "both"
    assert films[1].view.laterality == "right"
    assert films[0].intensity.shape[1] > 1.5 * films[1].intensity.shape[1]


@pytest.mark.parametrize("extra", [Extra.KNEE_END, Extra.CAST])
def test_things_that_are_no_lesions_are_on_the_film_and_in_no_truth(extra: Extra) -> None:
    plain = replace(PHANTOM, lesions=(), length_mm=120.0)
    films, truth = make_films(replace(RECIPE, phantom=replace(plain, extras=(extra,))))
    assert not truth.films[0].shadows
    assert extra.value in truth.distractors
    if extra is Extra.KNEE_END:
        fabella_and_patella_rows = truth.films[1].bone[: truth.films[1].shape[0] // 2].any(axis=1)
        assert fabella_and_patella_rows.mean() > 0.5
    else:
        outside = ~truth.films[0].skin
        assert films[0].intensity[outside].std() > 5 * truth.films[0].noise


@pytest.mark.parametrize("kind", [Collimation.HEADER, Collimation.VISIBLE, Collimation.MASKED])
def test_the_border_is_dense_or_blackened_and_only_sometimes_described(kind: Collimation) -> None:
    films, truth = make_films(with_exposure(collimation=kind))
    for film, known in zip(films, truth.films, strict=True):
        assert not known.field.all()
        assert np.array_equal(film.is_imaged, known.field if kind is Collimation.HEADER else np.ones_like(known.field))
        border, inside = film.intensity[~known.field], film.intensity[known.field & known.skin]
        assert (np.median(border) < inside.min()) == (kind is Collimation.MASKED)


CASES = {
    "explicit": COARSE,
    "implicit": replace(COARSE, modality="CR", spacing=Spacing.NONE, photometric=Photometric.MONOCHROME1),
    "rle": replace(COARSE, is_linear=True, photometric=Photometric.MONOCHROME1, bits=14),
    "jpeg-lossless": replace(COARSE, bits=15, spacing=Spacing.CALIBRATED, collimation=Collimation.HEADER),
    "jpeg2000": replace(COARSE, bits=10, modality="CR", has_text=True),
    "jpeg-ls": replace(COARSE, bits=16),
    "htj2k": replace(COARSE, bits=16, is_linear=True),
    "deflated": replace(COARSE, collimation=Collimation.MASKED, is_processed=True),
}


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_files_hold_what_the_films_hold(syntax: str, tmp_path: Path) -> None:
    recipe = replace(RECIPE, exposure=CASES[syntax])
    films, truth = expose(recipe)
    write_films(films, truth, recipe, tmp_path / "study", transfer_syntax=syntax)
    settings = ReadingSettings()
    ranking = rank_films(discover([tmp_path / "study"], settings=settings).studies[0])
    for number, candidate in enumerate(ranking.candidates):
        read, made = read_film(candidate, settings=settings), as_film_image(films[number], recipe, number)
        assert np.array_equal(read.intensity, made.intensity)
        assert np.array_equal(read.is_imaged, made.is_imaged)
        assert read.scale.kind is made.scale.kind
        if made.scale.spacing_mm is not None:
            assert read.scale.spacing_mm == pytest.approx(made.scale.spacing_mm, rel=1e-8)
        same = ("view", "reference", "series_instance_uid", "is_logarithmic", "kvp")
        assert [getattr(read, name) for name in same] == [getattr(made, name) for name in same]
    assert len(ranking.candidates) == 2


@pytest.mark.parametrize("syntax", sorted(FULL_DEPTH_ONLY))
def test_a_stream_never_declares_other_bits_than_the_header(syntax: str, tmp_path: Path) -> None:
    films, truth = expose(RECIPE)
    with pytest.raises(ValueError, match="16 bits"):
        write_films(films, truth, RECIPE, tmp_path, transfer_syntax=syntax)


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_writes_what_its_options_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("dystrophic", "--radiograph", "LAT", "--pixel", "0.6", "--scale", "none", "--size", "9", "--side", "left")
    assert run(_options(*words, "--photometric", "MONOCHROME1", "--out", str(tmp_path / "x"))) == 0
    assert "1 film(s)" in capsys.readouterr().out
    truth = json.loads((tmp_path / "x" / "truth.json").read_text())
    assert truth["recipe"]["exposure"]["modality"] == "CR"
    assert truth["recipe"]["exposure"]["photometric"] == "MONOCHROME1"
    assert [film["view"] for film in truth["films"]] == ["LAT"]
    assert truth["films"][0]["shadows"][0]["longest_mm"] == pytest.approx(9.5, rel=0.25)
    assert truth["recipe"]["phantom"]["laterality"] == "left"


@pytest.mark.parametrize(
    "words",
    [
        ("phlebolith", "--radiograph"),
        ("unicorn", "--radiograph"),
        ("nail", "--radiograph", "PA"),
        ("nail", "--radiograph", "AP", "--tilt", "5"),
        ("nail", "--radiograph", "AP", "--bits", "9"),
        ("nail", "--radiograph", "AP", "--bits", "12", "--transfer-syntax", "jpeg-ls"),
        ("nail", "--radiograph", "AP", "--linear", "--scale", "none"),
        ("nail", "--linear"),
    ],
)
def test_a_senseless_film_is_a_usage_error(words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(_options(*words, "--out", str(tmp_path / "x")))
    assert not (tmp_path / "x").exists()


def test_random_studies_differ_in_everything_that_matters() -> None:
    recipes = [random_films(seed) for seed in range(60)]
    assert {r.phantom.region for r in recipes} == {Region.CALF, Region.THIGH}
    assert {r.views for r in recipes} == {(View.AP, View.LATERAL), (View.AP,), (View.LATERAL,)}
    for name in ("photometric", "spacing", "collimation", "is_linear", "is_processed", "modality", "has_marker"):
        assert len({getattr(r.exposure, name) for r in recipes}) > 1, name
    lesions = [x for r in recipes for x in r.phantom.lesions]
    assert all(3 <= x.diameter_mm <= 60 for x in lesions)
    assert len({x.pattern for x in lesions}) >= 10
    assert not random_films(1, has_lesions=False).phantom.lesions


@pytest.mark.parametrize("sample", FILM_SAMPLES, ids=lambda s: s.name)
def test_samples_are_small_and_can_be_made_again(sample: FilmSample) -> None:
    manifest = tomllib.loads((SAMPLE_FOLDER / "MANIFEST.toml").read_text(encoding="utf-8"))
    entry = next(e for e in manifest["study"] if e["folder"] == sample.name)
    assert folder_hash(SAMPLE_FOLDER / sample.name) == entry["sha256"]
    assert entry["bytes"] < 2_000_000
    _, truth = expose(sample.recipe())
    shadows = [s for film in truth.films for s in film.shadows]
    for written, shadow in zip(entry["shadow"], shadows, strict=True):
        assert shadow.longest_mm == pytest.approx(written["longest_mm"], abs=0.02)
        assert shadow.to_skin_line_mm == pytest.approx(written["to_skin_line_mm"], abs=0.3)
    clinical = (SAMPLE_FOLDER / f"{sample.name}.clinical.yaml").read_text(encoding="utf-8")
    assert clinical == sample.clinical
    parse_clinical(yaml.safe_load(clinical))


VIEWS = {Region.FOOT: (View.DORSOPLANTAR, View.LATERAL)}


def region_recipe(region: Region, **changes: object) -> FilmRecipe:
    own = {Region.HAND: (Extra.SPREAD_FINGERS,), Region.SHOULDER: (Extra.ARMS_DOWN,)}.get(region, ())
    fields: dict[str, object] = {
        "region": region,
        "seed": 3,
        "lesions": (),
        "extras": own,
        "length_mm": 120.0,
    } | changes
    exposure = replace(exposure_of(region), pixel_mm=0.8)
    return FilmRecipe(phantom=replace(PHANTOM, **fields), views=VIEWS.get(region, (View.AP,)), exposure=exposure)  # type: ignore[arg-type]


@pytest.mark.parametrize("region", FILM_REGIONS)
def test_every_region_shows_bone_in_soft_tissue(region: Region) -> None:
    films, truth = make_films(region_recipe(region))
    assert len(films) == len(VIEWS.get(region, (View.AP,)))
    for film, true in zip(films, truth.films, strict=True):
        assert 0.02 < true.bone.mean() < 0.8
        assert not (true.bone & ~ndimage.binary_dilation(true.skin, iterations=3)).any()
        assert 0.2 < true.skin.mean() <= 1.0
        around_bone = ndimage.binary_dilation(true.bone, iterations=6) & ~ndimage.binary_dilation(
            true.bone, iterations=3
        )
        around_bone &= true.skin & true.field
        assert np.median(film.intensity[true.bone & true.field]) > np.median(film.intensity[around_bone])


def test_a_foot_is_seen_from_above_and_from_the_side() -> None:
    above, side = make_films(region_recipe(Region.FOOT))[0]
    assert (above.view.patient_orientation or "")[1] == "P"
    assert (side.view.patient_orientation or "")[1] == "F"
    assert (above.view.body_part, above.view.position) == ("FOOT", "AP")


def test_growth_plates_are_gaps_in_bone_and_osteophytes_more_of_it() -> None:
    plain, child, old = (
        make_films(region_recipe(Region.HAND, extras=(Extra.SPREAD_FINGERS, *more)))
        for more in ((), (Extra.GROWTH_PLATES,), (Extra.OSTEOPHYTES,))
    )
    bone = plain[1].films[0].bone
    darker = plain[0][0].intensity - child[0][0].intensity
    assert (darker[bone] > 0.2 * np.ptp(plain[0][0].intensity[bone])).sum() > 20
    assert np.array_equal(child[1].films[0].bone, bone)
    assert (old[1].films[0].bone & ~bone).sum() > 10
    assert not (bone & ~old[1].films[0].bone).any()


def test_studies_of_regions_hold_what_the_search_has_to_tell_apart() -> None:
    drawn = [region_films(seed, region) for seed in range(60) for region in FILM_REGIONS]
    lesions = [lesion for recipe in drawn for lesion in recipe.phantom.lesions]
    assert {recipe.phantom.region for recipe in drawn} == set(FILM_REGIONS)
    assert {"P05", "P09", "P11", "P12", "P15", "P16", "P17", "P20"} <= {lesion.pattern for lesion in lesions}
    assert {Layer.FUSED, Layer.JUXTACORTICAL, Layer.ABUTTING} <= {lesion.layer for lesion in lesions}
    rough = sum(isinstance(lesion, RoughLesionRecipe) for lesion in lesions)
    assert 0.3 < rough / len(lesions) < 0.7
    extras = {extra for recipe in drawn for extra in recipe.phantom.extras}
    assert {Extra.GROWTH_PLATES, Extra.OSTEOPHYTES, Extra.KNEE_END} <= extras
    assert region_films(7, Region.HAND) == region_films(7, Region.HAND)
    assert not region_films(7, Region.PELVIS, has_lesions=False).phantom.lesions


@pytest.mark.parametrize("kind", [name for name, kind in FILM_KINDS.items() if kind.region in set(FILM_REGIONS)][3:])
def test_the_command_makes_films_of_every_region(kind: str, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = [kind, "--radiograph", "AP", "--out", str(tmp_path / "films"), "--pixel", "0.9", "--seed", "4"]
    assert run(parser.parse_args(words)) == 0
    truth = json.loads((tmp_path / "films" / "truth.json").read_text())
    assert truth["recipe"]["phantom"]["region"] == FILM_KINDS[kind].region.value
