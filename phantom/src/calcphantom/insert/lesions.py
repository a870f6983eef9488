"""Put lesions into a host, with its blur and its noise, and say what is true of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calcphantom.insert.blur import measure_blur_mm, measure_noise_hu
from calcphantom.insert.host import Host
from calcphantom.insert.kinds import build_piece
from calcphantom.insert.tissue import Tissue, TissueMap, map_tissues
from calcphantom.piece import Piece, Posture, mineral_content, mineral_points
from calcphantom.place import NoRoomError, shift_piece
from calcphantom.recipe import SCATTERED
from calcphantom.render import sample_offsets
from calcphantom.scene import painted_hu
from calcphantom.shapes import Floats, about_z, max_diameter_mm, random_rotation
from calcphantom.truth import (
    DETECTABLE_CONTRAST_TO_NOISE,
    SMALLEST_MM3,
    SMALLEST_VOXELS,
    Vector,
    vector,
)
from calcreport.model.geometry import VolumeGeometry

Box = tuple[Vector, Vector]

SEED_HU: Final = 200.0
GROW_HU: Final = 130.0
"""What mineral reaches without contrast; see `calcphantom.truth`."""
LOCAL_MEAN_PIXELS: Final = 1.5
"""Blur, standard deviation in pixels, that parts the tissue replaced from the noise that stays."""
APART_MM: Final = 20.0
"""Lesions, and boxes to stay away from, are kept this far apart."""
FASCIA_MM: Final = 3.0
"""A lesion meant to be deep, or superficial, keeps this distance to the fascia."""
DENSE_MM: Final = 6.0
"""Distance kept to bone and other dense things unless a wish says otherwise."""
_TRIES: Final = 250
_SIZES: Final = (1.0, 0.85, 0.7, 0.55)
_POINTS: Final = 400
_MUSCLE_SHARE: Final = 0.9
_BLUR_REACH: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A lesion to put in.

    Parameters
    ----------
    kind : str
        Key of `calcphantom.insert.kinds.KINDS`.
    diameter_mm : float
        Longest diameter wished for, mm; the truth states what came of it.
    hu : float
        Density of its mineral, HU.
    tissue : Tissue
        Where it goes; with a place given, what the truth says of it.
    place_lps_mm : tuple[float, float, float] | None
        Its centre, LPS mm; ``None`` chooses by tissue.
    dense_mm : float
        Least distance to bone and other dense things, mm; not asked of a given place.
    """

    kind: str
    diameter_mm: float
    hu: float
    tissue: Tissue
    place_lps_mm: Vector | None = None
    dense_mm: float = DENSE_MM


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertedLesion:
    """What is true of one inserted lesion. Lengths mm, LPS.

    Parameters
    ----------
    kind, pattern, tissue : str
        Kind, pattern id, tissue it was put into.
    depth : str
        ``"superficial"`` in the fat under the skin, else ``"deep"``.
    hu : float
        Density asked for, HU.
    centre_lps_mm : tuple[float, float, float]
        Centre of volume of the mineral.
    box_lps_mm : tuple
        Lowest and highest corner around the mineral.
    max_diameter_mm, volume_mm3, mean_hu : float
        Of the mineral alone, from its analytic shape.
    is_scattered : bool
        The longest diameter is an extent without sharp ends.
    skin_distance_mm, fascia_distance_mm, dense_distance_mm : float
        From the nearest mineral; to bone or another dense thing the last. Good to the 2 mm of the map of tissues.
    peak_hu : float
        Highest value of its voxels after partial volume and blur, on the local mean, without noise.
    contrast_to_noise : float
        Peak above the tissue replaced over the noise of the host.
    is_detectable : bool
        Peak a noise deviation above 200 HU, at least 3 voxels and 2 mm3 at 130 HU, five noise deviations of contrast:
        what a detector of unenhanced scans could be asked to find.
    """

    kind: str
    pattern: str
    tissue: str
    depth: str
    hu: float
    centre_lps_mm: Vector
    box_lps_mm: Box
    max_diameter_mm: float
    volume_mm3: float
    mean_hu: float
    is_scattered: bool
    skin_distance_mm: float
    fascia_distance_mm: float
    dense_distance_mm: float
    peak_hu: float
    contrast_to_noise: float
    is_detectable: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inserted:
    """A host with its lesions.

    Parameters
    ----------
    host : Host
        With the lesions in it.
    lesions : tuple[InsertedLesion, ...]
        What is true of them, in the order of the wishes that found room.
    without_room : tuple[Wish, ...]
        Wishes for which the host has no place.
    blur_mm, noise_hu : float
        Measured on the host: standard deviation in the plane in mm, and of the noise in HU.
    change_hu : NDArray[np.float32]
        Shape of the host; what was added, HU.
    """

    host: Host
    lesions: tuple[InsertedLesion, ...]
    without_room: tuple[Wish, ...]
    blur_mm: float
    noise_hu: float
    change_hu: NDArray[np.float32]

    def as_json(self) -> dict[str, Any]:
        """Plain mapping for ``truth.json``; lengths mm, densities HU, positions LPS mm."""
        return {
            "lesions": [dataclasses.asdict(lesion) for lesion in self.lesions],
            "without_room": [dataclasses.asdict(wish) for wish in self.without_room],
            "blur_mm": round(self.blur_mm, 3),
            "noise_hu": round(self.noise_hu, 2),
        }


def insert_lesions(
    host: Host, wishes: tuple[Wish, ...], *, seed: int, avoid: tuple[Box, ...] = (), tissues: TissueMap | None = None
) -> Inserted:
    """Put lesions into a host.

    The mineral, supersampled over the voxel and the slice's thickness, replaces the local mean of the tissue; the
    difference is blurred in the plane as the host is (`measure_blur_mm`) and added, so that the noise of the host
    stays. Across slices the profile is a rectangle as thick as the header says.

    Parameters
    ----------
    host : Host
        Axial slices.
    wishes : tuple[Wish, ...]
        In the order in which they look for room.
    seed : int
        The same seed gives the same lesions.
    avoid : tuple
        Boxes, lowest and highest corner in LPS mm, to stay away from.
    tissues : TissueMap | None
        Of this host, where it was mapped before.

    Returns
    -------
    Inserted
        The new host, and the truth.
    """
    hu = host.hu()
    scan = _Scan(
        hu=hu,
        geometry=host.geometry,
        thickness_mm=host.thickness_mm,
        blur_mm=measure_blur_mm(hu, host.geometry.spacing_mm[1]),
        noise_hu=measure_noise_hu(hu),
        tissues=tissues or map_tissues(hu, host.geometry),
    )
    change = np.zeros(hu.shape, dtype=np.float32)
    boxes = list(avoid)
    lesions, without = [], []
    for number, wish in enumerate(wishes):
        rng = np.random.default_rng((seed, number))
        try:
            pattern, piece = _placed(wish, scan, rng, tuple(boxes))
        except NoRoomError:
            without.append(wish)
            continue
        window, part = render_change(piece, scan.hu, host.geometry, host.thickness_mm, scan.blur_mm)
        change[window] += part
        lesions.append(_truth(wish, pattern, piece, scan, (window, part)))
        boxes.append(lesions[-1].box_lps_mm)
    return Inserted(
        host=host.with_change(change),
        lesions=tuple(lesions),
        without_room=tuple(without),
        blur_mm=scan.blur_mm,
        noise_hu=scan.noise_hu,
        change_hu=change,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scan:
    """A host as it is measured, once for all its lesions."""

    hu: NDArray[np.float32]
    geometry: VolumeGeometry
    thickness_mm: float
    blur_mm: float
    noise_hu: float
    tissues: TissueMap


def _placed(wish: Wish, scan: _Scan, rng: np.random.Generator, boxes: tuple[Box, ...]) -> tuple[str, Piece]:
    """Pattern id, and the piece in LPS mm; smaller than wished for where nothing else fits."""
    if wish.place_lps_mm is not None:
        recipe, piece = build_piece(wish.kind, wish.diameter_mm, wish.hu, rng)
        return recipe.pattern, shift_piece(piece, _turn(piece, wish, rng, scan, None), np.array(wish.place_lps_mm))
    for size in _SIZES:
        recipe, piece = build_piece(wish.kind, wish.diameter_mm * size, wish.hu, rng)
        outline = _outline(piece, rng)
        for place in _candidates(wish, scan, rng, size):
            turn = _turn(piece, wish, rng, scan, place)
            if _fits(outline @ turn.T + place, wish, scan, boxes):
                return recipe.pattern, shift_piece(piece, turn, place)
    msg = f"no room for {wish.kind} of {wish.diameter_mm:.0f} mm in {wish.tissue}"
    raise NoRoomError(msg)


def _outline(piece: Piece, rng: np.random.Generator) -> Floats:
    points = np.concatenate([p.shape.points for p in piece.paints if len(p.shape.points)])
    return np.vstack((points[rng.permutation(len(points))[:_POINTS]], np.zeros((1, 3))))


def _candidates(wish: Wish, scan: _Scan, rng: np.random.Generator, size: float) -> Floats:
    """Centres to try, shape ``(n, 3)``, LPS mm, the roomier half of the tissue first."""
    tissues = scan.tissues
    room = np.minimum(tissues.dense_mm - wish.dense_mm, tissues.fascia_mm - FASCIA_MM)
    least = min(3.0, 0.15 * wish.diameter_mm * size)
    where = np.argwhere(tissues.sites[wish.tissue] & (room > least))
    if not len(where):
        return np.empty((0, 3))
    chosen = where[rng.integers(len(where), size=_TRIES)]
    return tissues.geometry.lps_mm(chosen + rng.uniform(-0.5, 0.5, size=chosen.shape))


def _turn(piece: Piece, wish: Wish, rng: np.random.Generator, scan: _Scan, place: Floats | None) -> Floats:
    if wish.kind.endswith("sheet") and place is not None:
        return about_z(_outward_rad(scan.tissues, place), float(rng.normal(scale=0.1)))
    match piece.posture:
        case Posture.UPRIGHT:
            return np.eye(3)
        case Posture.ALONG:
            return about_z(float(rng.uniform(-np.pi, np.pi)), float(rng.normal(scale=0.12)))
        case _:
            return random_rotation(rng)


def _outward_rad(tissues: TissueMap, place: Floats) -> float:
    """Direction in which the skin is nearer, radians from +x; sheets lie along fascia and skin."""
    i, j, k = (int(v[0]) for v in tissues.at(place[None]))
    rows, columns = (slice(max(0, n - 4), n + 5) for n in (j, k))
    window = tissues.skin_mm[i, rows, columns]
    if min(window.shape) < 2:
        return 0.0
    down, across = (-float(g.mean()) for g in np.gradient(window))
    return float(np.arctan2(down, across))


def _fits(points: Floats, wish: Wish, scan: _Scan, boxes: tuple[Box, ...]) -> bool:
    tissues = scan.tissues
    index = scan.geometry.index(points)
    margin = np.array([1.0, 4.0, 4.0])
    if (index < margin).any() or (index > np.array(scan.geometry.shape) - 1 - margin).any():
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    if any(((low <= np.array(b[1]) + APART_MM) & (high >= np.array(b[0]) - APART_MM)).all() for b in boxes):
        return False
    at = tissues.at(points)
    if float(tissues.dense_mm[at].min()) < wish.dense_mm or float(tissues.fascia_mm[at].min()) < FASCIA_MM:
        return False
    within = tissues.sites[wish.tissue][at]
    return bool(within.all()) if wish.tissue is Tissue.SUBCUTANEOUS else float(within.mean()) >= _MUSCLE_SHARE


def render_change(
    piece: Piece, hu: NDArray[np.float32], geometry: VolumeGeometry, thickness_mm: float, blur_mm: float
) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """What a lesion adds to a scan.

    Parameters
    ----------
    piece : Piece
        In LPS mm.
    hu : NDArray[np.float32]
        Shape ``(slices, rows, columns)``; the host, HU.
    geometry : VolumeGeometry
        LPS mm.
    thickness_mm : float
        Slice thickness, mm.
    blur_mm : float
        Standard deviation of the blur in the plane, mm.

    Returns
    -------
    tuple[tuple[slice, slice, slice], NDArray[np.float32]]
        Window of the volume, and what is added in it, HU.
    """
    _, row_mm, column_mm = geometry.spacing_mm
    # The samples spread over the pixel, which the blur measured at edges already holds.
    sigma = np.sqrt(max(0.0, blur_mm**2 - row_mm * column_mm / 12)) / np.array([row_mm, column_mm])
    window = _window(piece, geometry, thickness_mm, float(sigma.max()))
    size = tuple(s.stop - s.start for s in window)
    local = np.stack([ndimage.gaussian_filter(plane, LOCAL_MEAN_PIXELS) for plane in hu[window]])
    offsets = sample_offsets(geometry, thickness_mm)
    start = np.array([s.start for s in window])
    change = np.zeros(size, dtype=np.float32)
    for k in range(size[0]):
        index = np.indices((1, *size[1:])).reshape(3, -1).T + start + (k, 0, 0)
        centres = geometry.lps_mm(index)
        near = np.flatnonzero(_near(piece, centres, np.abs(offsets).max(axis=0)))
        if not len(near):
            continue
        points = (centres[near][:, None, :] + offsets[None, :, :]).reshape(-1, 3)
        painted = painted_hu(piece.paints, points)[0].reshape(len(near), len(offsets))
        added = np.where(np.isnan(painted), 0.0, painted - local[k].reshape(-1)[near][:, None])
        change[k].reshape(-1)[near] = added.mean(axis=1)
        ndimage.gaussian_filter(change[k], sigma, output=change[k], mode="constant", truncate=_BLUR_REACH)
    change[np.abs(change) < 0.05] = 0.0
    return window, change


def _window(piece: Piece, geometry: VolumeGeometry, thickness_mm: float, sigma: float) -> tuple[slice, slice, slice]:
    """Part of the volume that a lesion and its blur (in pixels) may reach."""
    low = np.min([p.shape.box[0] for p in piece.paints], axis=0)
    high = np.max([p.shape.box[1] for p in piece.paints], axis=0)
    corners = np.array([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i, j, k in np.ndindex(2, 2, 2)])
    index = geometry.index(corners)
    pad = np.array([thickness_mm / 2 / geometry.spacing_mm[0] + 1, *([2 + np.ceil(_BLUR_REACH * sigma)] * 2)])
    first = np.clip(np.floor(index.min(axis=0) - pad), 0, None).astype(int)
    last = np.minimum(np.ceil(index.max(axis=0) + pad).astype(int) + 1, geometry.shape)
    return (slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1])), slice(int(first[2]), int(last[2])))


def _near(piece: Piece, centres: Floats, reach: Floats) -> NDArray[np.bool_]:
    near = np.zeros(len(centres), dtype=bool)
    for paint in piece.paints:
        low, high = paint.shape.box
        near |= ((centres >= low - reach) & (centres <= high + reach)).all(axis=1)
    return near


def _truth(
    wish: Wish,
    pattern: str,
    piece: Piece,
    scan: _Scan,
    rendered: tuple[tuple[slice, slice, slice], NDArray[np.float32]],
) -> InsertedLesion:
    points = mineral_points(piece.paints)
    volume, mean_hu, centre = mineral_content(piece.paints)
    window, change = rendered
    local = np.stack([ndimage.gaussian_filter(plane, LOCAL_MEAN_PIXELS) for plane in scan.hu[window]])
    values = (local + change)[change > 0]
    peak = float(values.max()) if len(values) else float("nan")
    contrast = float(change.max()) / max(scan.noise_hu, 0.1)
    dense = int((values >= GROW_HU).sum())
    at = scan.tissues.at(points)
    return InsertedLesion(
        kind=wish.kind,
        pattern=pattern,
        tissue=wish.tissue.value,
        depth="superficial" if wish.tissue is Tissue.SUBCUTANEOUS else "deep",
        hu=wish.hu,
        centre_lps_mm=vector(centre),
        box_lps_mm=(vector(points.min(axis=0)), vector(points.max(axis=0))),
        max_diameter_mm=max_diameter_mm(points),
        volume_mm3=volume,
        mean_hu=mean_hu,
        is_scattered=pattern in SCATTERED,
        skin_distance_mm=float(scan.tissues.skin_mm[at].min()),
        fascia_distance_mm=float(scan.tissues.fascia_mm[at].min()),
        dense_distance_mm=float(scan.tissues.dense_mm[at].min()),
        peak_hu=peak,
        contrast_to_noise=contrast,
        is_detectable=bool(
            peak >= SEED_HU + scan.noise_hu
            and dense >= SMALLEST_VOXELS
            and dense * scan.geometry.voxel_volume_mm3 >= SMALLEST_MM3
            and contrast >= DETECTABLE_CONTRAST_TO_NOISE
        ),
    )
