"""Two scans of one made-up limb: a bone with a bend, fat and muscle that no turn leaves as they are."""

from types import SimpleNamespace

import numpy as np
import pytest

from calcreport.model.geometry import VolumeGeometry
from calcreport.model.image import CtVolume, SliceReference
from calcreport.registration.pairing import MOST_RESIDUAL_MM, Deposit, Pairing
from calcreport.registration.rigid import Place, Registration, Transform, _bones_mm, earlier_slice

SPACING = (3.0, 1.5, 1.5)
SHAPE = (50, 96, 96)


def _turn(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    a = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -a[2], a[1]], [a[2], 0, -a[0]], [-a[1], a[0], 0]])
    t = np.radians(degrees)
    return np.eye(3) + np.sin(t) * cross + (1 - np.cos(t)) * cross @ cross


TURN = _turn((1.0, 2.0, 3.0), 8.0)
SHIFT = np.array([12.0, -11.0, 11.0])
FRAME = np.array([310.0, -120.0, 95.0])


def then(lps_mm: np.ndarray) -> np.ndarray:
    """Where positions of the present scan lie in the earlier one."""
    return lps_mm @ TURN.T + SHIFT + FRAME


def _limb(lps_mm: np.ndarray, spots: list[tuple[np.ndarray, float]]) -> np.ndarray:
    x, y, z = np.moveaxis(lps_mm, -1, 0)
    r = np.hypot(x, 1.2 * (y - 3))
    hu = np.full(x.shape, -1000.0)
    hu[r < 55] = -100
    muscle = np.hypot(x - 4, y) < 40 + 4 * np.sin(3 * np.arctan2(y, x) + z / 25)
    hu[muscle] = 50
    seam = np.abs(x * np.cos(z / 60) + y * np.sin(z / 60) - 14) < 2
    hu[muscle & seam] = -80
    bone = np.hypot(x + 8 + z**2 / 900, y - 5 - z / 12)
    hu[bone < 11] = 900
    hu[bone < 6] = 80
    for middle, radius_mm in spots:
        hu[((lps_mm - middle) ** 2).sum(axis=-1) < radius_mm**2] = 500
    return hu


def _scan(spots: list[tuple[np.ndarray, float]], *, earlier: bool, seed: int, slices: slice = slice(None)) -> CtVolume:
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, SPACING[2]], [0, SPACING[1], 0], [SPACING[0], 0, 0]], dtype=float)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + (SHIFT + FRAME if earlier else 0)
    geometry = VolumeGeometry(affine=affine, shape=SHAPE)
    places = geometry.lps_mm(np.stack(np.indices(SHAPE), axis=-1))
    hu = _limb((places - SHIFT - FRAME) @ TURN if earlier else places, spots)
    hu = np.clip(hu + np.random.default_rng(seed).normal(0, 12, SHAPE), -1024, 3000).astype(np.int16)[slices]
    moved = affine.copy()
    moved[:3, 3] = geometry.lps_mm(np.array([slices.start or 0, 0, 0]))
    return CtVolume(
        hu=hu, geometry=VolumeGeometry(affine=moved, shape=hu.shape),
        slices=tuple(SliceReference(sop_instance_uid=str(n), instance_number=n) for n in range(len(hu))),
    )  # fmt: skip


SPOTS = [np.array(p, dtype=float) for p in ([22, -8, 0], [22, -8, 16], [-4, 28, -30])]


def _deposits(volume: CtVolume, spots: list[tuple[np.ndarray, float]], *, earlier: bool = False) -> tuple[Deposit, ...]:
    made = []
    places = volume.geometry.lps_mm(np.stack(np.indices(volume.hu.shape), axis=-1))
    for number, (middle, radius_mm) in enumerate(spots):
        at = then(middle) if earlier else middle
        points = places[((places - at) ** 2).sum(axis=-1) < radius_mm**2]
        made.append(Deposit(name=f"L{number + 1}", points=points, series=0, length_mm=2 * radius_mm))
    return tuple(made)


def _pair(now: list[tuple[np.ndarray, float]], before: list[tuple[np.ndarray, float]], **kwargs) -> Pairing:
    volumes = _scan(now, earlier=False, seed=1), _scan(before, earlier=True, seed=2, **kwargs)
    return Pairing(
        now=_deposits(volumes[0], now), before=_deposits(volumes[1], before, earlier=True),
        volumes_now=volumes[:1], volumes_before=volumes[1:], limit_hu=130.0,
    )  # fmt: skip


@pytest.mark.accuracy
@pytest.mark.slow
@pytest.mark.parametrize("slices", [slice(None), slice(12, None), slice(0, 36)])
def test_a_turned_shifted_and_cropped_scan_is_laid_over_within_its_residual(slices: slice) -> None:
    registration = Registration(_scan([], earlier=False, seed=1), _scan([], earlier=True, seed=2, slices=slices))
    for middle in (np.array([20.0, -5.0, 0.0]), np.array([-15.0, 20.0, 12.0])):
        place = registration.at(middle)
        assert place.transform is not None
        error_mm = float(np.linalg.norm(place.before(middle[None])[0] - then(middle)))
        assert error_mm <= 1.5
        assert place.residual_mm <= 3.0


def test_another_limb_is_not_laid_over() -> None:
    now, other = _scan([], earlier=False, seed=1), _scan([], earlier=True, seed=2)
    scrambled = np.ascontiguousarray(np.roll(other.hu[:, ::-1], 25, axis=2)[::-1])
    noise = np.random.default_rng(0).integers(-1000, 900, scrambled.shape).astype(np.int16)
    place = Registration(now, CtVolume(hu=noise, geometry=other.geometry, slices=other.slices)).at(SPOTS[0])
    assert place.transform is None


@pytest.mark.parametrize("slices", [slice(None), slice(0, 30)])
@pytest.mark.parametrize("off_mm", [(0, 0, 0), (5, 0, 0), (0, -5, 0), (3.5, 3.5, 0), (8, 0, 0), (0, 10, 0)])
def test_bones_contradict_what_was_laid_wrongly_however_much_of_them_is_shown(off_mm, slices: slice) -> None:
    """Surfaces would be 10 mm apart where the scan ends, and less than 3 mm where it is 8 mm off."""
    middle = np.array([-8.0, 5.0, 0.0])
    now, before = _scan([], earlier=False, seed=1), _scan([], earlier=True, seed=2, slices=slices)
    laid = Transform()
    laid.SetMatrix(TURN.ravel().tolist())
    laid.SetTranslation((SHIFT + FRAME + off_mm).tolist())
    images = Registration(now, before)._around(middle, 35.0, 2.0, laid, None)
    residual_mm = _bones_mm(*images, laid)
    assert (residual_mm > MOST_RESIDUAL_MM) is any(off_mm)  # along the shaft nothing holds it: 1.7 mm where it is exact


def test_each_lesion_is_paired_with_itself_and_the_new_and_the_gone_are_named() -> None:
    pairing = _pair([(SPOTS[0], 5.0), (SPOTS[1], 4.0)], [(SPOTS[1], 4.0), (SPOTS[2], 5.0)])
    overlay = pairing.overlay()
    assert [place.status for place in overlay.places] == ["new", "matched"]
    assert overlay.places[1].earlier == (0,)
    assert overlay.vanished == (1,)


def test_what_the_earlier_images_do_not_show_is_not_new() -> None:
    pairing = _pair([(SPOTS[2], 5.0)], [], slices=slice(26, None))
    (place,) = pairing.overlay().places
    assert place.status == "not_found"


def test_what_the_earlier_images_show_in_part_is_the_same_lesion() -> None:
    """Cut through its middle: that its length was a minimum is said elsewhere."""
    spot = [(SPOTS[0], 9.0)]
    volumes = _scan(spot, earlier=False, seed=1), _scan(spot, earlier=True, seed=2)
    (whole,) = _deposits(volumes[1], spot, earlier=True)
    first = round(float(volumes[1].geometry.index(then(SPOTS[0])[None])[0, 0]))
    cut = _scan(spot, earlier=True, seed=2, slices=slice(first, None))  # its middle lies in the first slice
    seen = whole.points[cut.geometry.index(whole.points)[:, 0] >= 0]
    exact = Transform()
    exact.SetMatrix(TURN.ravel().tolist())
    exact.SetTranslation((SHIFT + FRAME).tolist())
    known = SimpleNamespace(at=lambda *_: Place(transform=exact, residual_mm=0.5, likeness=0.9))
    pairing = Pairing(
        now=_deposits(volumes[0], spot), before=(Deposit(name="L1", points=seen, series=0, length_mm=9.0),),
        volumes_now=volumes[:1], volumes_before=(cut,), limit_hu=130.0, _registrations={(0, 0): known},
    )  # fmt: skip
    assert pairing.overlay().places[0].earlier == (0,)


def test_a_place_beside_another_takes_its_region_and_a_near_one_its_transform() -> None:
    registration = Registration(_scan([], earlier=False, seed=1), _scan([], earlier=True, seed=2))
    first = np.array([-15.0, 20.0, 12.0])
    assert registration.region(first) is registration.region(first - np.array([0.0, 30.0, 0.0]))
    place = registration.at(first)
    if place.residual_mm <= 1.0:
        assert registration.at(first + 5) is place
    back = registration.now(then(first[None])[0])
    assert back == pytest.approx(first, abs=3)


def test_mineral_that_was_not_listed_is_not_new() -> None:
    now, before = _scan([(SPOTS[0], 5.0)], earlier=False, seed=1), _scan([(SPOTS[0], 5.0)], earlier=True, seed=2)
    pairing = Pairing(
        now=_deposits(now, [(SPOTS[0], 5.0)]), before=(), volumes_now=(now,), volumes_before=(before,), limit_hu=130.0
    )
    (place,) = pairing.overlay().places
    assert (place.status, place.earlier) == ("ambiguous", ())


@pytest.mark.accuracy
@pytest.mark.slow
def test_a_place_that_fits_badly_is_not_compared() -> None:
    """A lump of 26 mm where two small ones were turns its own neighbourhood: the earlier one lies 14 mm off."""
    one, other = SPOTS[0], SPOTS[0] + [0, 0, 14]
    pairing = _pair([((one + other) / 2, 13.0)], [(one, 5.0), (other, 5.0)])
    (place,) = pairing.overlay().places
    laid = pairing.laid[0]
    error_mm = np.linalg.norm(laid.place.before(pairing.now[0].middle[None])[0] - then(pairing.now[0].middle))
    assert place.status == "ambiguous" or error_mm <= 3.0
    assert place.status == "matched" or "fit to" in place.reason


@pytest.mark.accuracy
@pytest.mark.slow
def test_two_that_became_one_are_compared_together() -> None:
    one, other = SPOTS[1], SPOTS[1] + [0, 0, 14]
    pairing = _pair([((one + other) / 2, 13.0)], [(one, 5.0), (other, 5.0)])
    (place,) = pairing.overlay().places
    assert (place.status, place.earlier) == ("matched", (0, 1))
    assert place.joint_mm == pytest.approx(24, abs=4)


@pytest.mark.accuracy
@pytest.mark.slow
def test_parts_of_one_are_not_compared_with_it() -> None:
    one, other = SPOTS[0], SPOTS[0] + [0, 0, 14]
    pairing = _pair([(one, 5.0), (other, 5.0)], [((one + other) / 2, 13.0)])
    places = pairing.overlay().places
    assert all(place.reason for place in places)


def test_the_earlier_slice_shows_the_same_place() -> None:
    pairing = _pair([(SPOTS[0], 5.0)], [(SPOTS[0], 5.0)])
    pairing.overlay()
    laid = pairing.laid[0]
    assert laid is not None
    now, before = pairing.volumes_now[0], pairing.volumes_before[0]
    key = round(float(now.geometry.index(SPOTS[0])[0]))
    plane = earlier_slice(now, key, before, laid.place)
    inside = now.hu[key] > -300
    assert np.corrcoef(np.clip(plane[inside], -200, 300), np.clip(now.hu[key][inside], -200, 300))[0, 1] > 0.8


def test_a_part_that_could_not_be_registered_keeps_the_other_from_being_compared() -> None:
    """What was one of 26 mm and is two of 10 mm has not shrunk to 10 mm, whichever of the two is found."""
    one, other = SPOTS[0], SPOTS[0] + [0, 0, 14]
    exact = Transform()
    exact.SetMatrix(TURN.ravel().tolist())
    exact.SetTranslation((SHIFT + FRAME).tolist())
    pairing = _pair([(one, 5.0), (other, 5.0)], [((one + other) / 2, 13.0)])
    found = Place(transform=exact, residual_mm=0.5, likeness=0.9)
    lost = Place(transform=None)
    known = SimpleNamespace(at=lambda middle, *_: found if middle[2] < 7 else lost, now=lambda _: None)
    pairing._registrations = {(0, 0): known}
    places = pairing.overlay().places
    assert [place.status for place in places] == ["matched", "not_found"]
    assert "is now 2 lesions" in places[0].reason
