"""Where foci are sought, and what they have to stand out of."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from calcreport.film.bone import find_bones
from calcreport.film.exposure import find_exposure
from calcreport.film.foci import find_foci, search_field, structure_around
from calcreport.film.judge import may_be_mineral
from calcreport.film.reduced import reduce_film

sys.path.append(str(Path(__file__).parent))

from painted_films import BONE_AT, LIMB_AT, NOISE, SOFT_AT, ball, bar, disc, leg, with_grey


def parted(made):
    reduced = reduce_film(made)
    exposure = find_exposure(reduced)
    bones = find_bones(reduced, exposure)
    return reduced, exposure, bones, search_field(reduced, exposure, bones)


def foci_of(made, noise=NOISE):
    """Foci clear of the noise of a pixel, which the crest of the limb is not; at both widths they come twice."""
    found = find_foci(*parted(made), noise)
    return [focus for focus in found if may_be_mineral(focus) and focus.contrast > 4 * noise]


def middle_mm(focus):
    return (np.argwhere(focus.mask).mean(axis=0) + [s.start for s in focus.box] + 0.5) * 0.4


def places(foci):
    """Middles of the foci that lie more than 2 mm apart, mm."""
    found = []
    for place in map(middle_mm, foci):
        if all(np.linalg.norm(place - other) > 2 for other in found):
            found.append(place)
    return found


def marbled(made, peak):
    """The film with marbling whose strands stand `peak` grey out of it."""
    texture = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=made.intensity.shape), 5)
    return with_grey(made, made.intensity + texture * (peak / (3 * texture.std())))


def test_the_field_is_soft_tissue_off_bone_skin_and_the_end_of_the_film():
    reduced, _exposure, _bones, field = parted(leg())
    columns = (np.arange(field.shape[1]) + 0.5) * reduced.pixel_mm
    off_bone = np.abs(columns - BONE_AT) - 12
    off_skin = 45 - np.abs(columns - LIMB_AT)
    middle = field[20:-20]
    assert not middle[:, off_bone < 1.2].any()
    assert not middle[:, off_skin < 0.8].any()
    assert middle[:, (off_bone > 4) & (off_skin > 4)].all()
    assert not field[:5].any()
    assert not field[-5:].any()


def test_a_focus_is_told_with_its_contrast_and_its_place():
    foci = foci_of(leg(disc(SOFT_AT, 6, 120)))
    assert foci
    for focus in foci:
        assert focus.contrast == pytest.approx(120, rel=0.2)
        assert focus.significance > 10
        assert focus.bone_contact == 0
        assert not focus.is_cut
        assert middle_mm(focus) == pytest.approx(SOFT_AT, abs=0.3)
        assert focus.mask.shape == tuple(s.stop - s.start for s in focus.box)


def test_two_foci_close_together_are_two():
    found = sorted(place[0] for place in places(foci_of(leg(disc((46, 78), 5, 150), disc((53, 78), 5, 150)))))
    assert found == pytest.approx([46, 53], abs=0.4)


def test_contact_with_bone_is_told():
    off, at = (find_foci(*parted(leg(bar((50, column), 20, 3, 200))), NOISE) for column in (62, 54.5))
    assert {focus.bone_contact for focus in off} == {0.0}
    assert max(focus.bone_contact for focus in at) > 0.1


@pytest.mark.parametrize("peak", [60, 150])
def test_marbling_is_nothing_and_a_deposit_has_to_stand_out_of_it(peak):
    """What would be clear in plain tissue is not where much else is as high."""
    assert len(places(foci_of(leg(ball(SOFT_AT, 4, peak))))) == 1
    assert places(foci_of(marbled(leg(), peak))) == []
    found = foci_of(marbled(leg(ball(SOFT_AT, 4, 6 * peak)), peak))
    clearest = max(found, key=lambda focus: focus.significance)
    assert middle_mm(clearest) == pytest.approx(SOFT_AT, abs=0.7)


def test_structure_is_judged_around_each_place():
    rng = np.random.default_rng(1)
    reduced, _exposure, _bones, _field = parted(leg())
    lifted = np.abs(rng.normal(size=reduced.grey.shape)).astype(np.float32)
    lifted[:, 150:] *= 10
    spread = structure_around(reduced, lifted, np.ones(reduced.grey.shape, dtype=bool))
    assert spread.shape == reduced.grey.shape
    assert spread[:, 270:].min() > 4 * spread[:, :30].max()


def test_structure_is_known_where_nothing_is_searched():
    reduced, _exposure, _bones, _field = parted(leg())
    lifted = np.ones(reduced.grey.shape, dtype=np.float32)
    for field in (np.zeros(reduced.grey.shape, dtype=bool), np.ones(reduced.grey.shape, dtype=bool)):
        spread = structure_around(reduced, lifted, field)
        assert np.isfinite(spread).all()
        assert (spread > 0).all()
