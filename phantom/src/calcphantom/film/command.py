"""``calcreport phantom KIND --radiograph``: options in, synthetic films out."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any, Final

from calcphantom.film.dicom import FULL_DEPTH_ONLY, write_films
from calcphantom.film.kinds import FILM_KINDS, exposure_of, random_films
from calcphantom.film.recipe import (
    Collimation,
    ExposureRecipe,
    FilmRecipe,
    Photometric,
    Spacing,
    View,
)
from calcphantom.film.study import LIMBS, expose
from calcphantom.kinds import KINDS
from calcphantom.place import NoRoomError
from calcphantom.recipe import PhantomRecipe, Region, ScanRecipe
from calcreport.errors import OutputError, UsageError

CT_OPTIONS: Final = ("spacing", "thickness", "tilt", "noise", "kernel", "contrast")
"""Options that mean nothing for a film."""
FILM_OPTIONS: Final = ("photometric", "scale", "bits", "border", "linear", "processed", "text", "sid", "gap")
"""Options that mean nothing for a CT."""
_LIMITS: Final = {
    "pixel": (0.08, 2.0),
    "bits": (10, 16),
    "sid": (700.0, 3000.0),
    "gap": (0.0, 300.0),
    "dose": (0.01, 100.0),
    "size": (1.0, 250.0),
    "hu": (-100.0, 3000.0),
}


def add_film_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of films to a parser."""
    add = parser.add_argument_group("radiographs").add_argument
    add(
        "--radiograph",
        nargs="?",
        const="AP,LAT",
        metavar="VIEWS",
        help=f"films instead of CT: AP, LAT or AP,LAT; of kinds of calf and thigh, and {', '.join(FILM_KINDS)}",
    )
    add("--photometric", choices=[p.value for p in Photometric], help="polarity (default MONOCHROME2)")
    add("--scale", choices=[s.value for s in Spacing], help="what the header says about mm (default detector)")
    add("--bits", type=int, metavar="NUMBER", help="bits stored, 10 to 16 (default 12)")
    add(
        "--border",
        choices=[c.value for c in Collimation],
        help="unexposed border: none, in the header, seen, blackened",
    )
    add("--linear", action="store_true", default=None, help="FOR PROCESSING: stored in proportion to exposure")
    add("--processed", action="store_true", default=None, help="sigmoid curve and mild unsharp mask")
    add("--text", action="store_true", default=None, help="text burned into a corner")
    add("--sid", type=float, metavar="NUMBER", help="distance from source to detector, mm (default 1150)")
    add("--gap", type=float, metavar="NUMBER", help="distance from skin to detector, mm (default 25)")


def run_films(args: argparse.Namespace) -> int:
    """Write the films that the options describe; returns the exit code 0.

    Raises
    ------
    UsageError
        ``phantom.unknown_kind``, ``phantom.value`` or ``phantom.no_room``.
    OutputError
        ``phantom.write``: the folder cannot be written.
    """
    recipe = film_recipe_from(args)
    try:
        films, truth = expose(recipe)
    except NoRoomError as error:
        msg = f"{error}: choose a smaller --size, another --seed or another kind"
        raise UsageError(msg, code="phantom.no_room") from error
    try:
        paths = write_films(films, truth, recipe, args.out, transfer_syntax=args.transfer_syntax)
    except OSError as error:
        msg = f"the films cannot be written ({error.strerror}): choose another --out folder or free some space"
        raise OutputError(msg, code="phantom.write") from error
    count = len(recipe.phantom.lesions)
    sys.stdout.write(f"{len(paths) - 1} film(s) and truth.json written: {count} lesion(s)\n")
    return 0


def film_recipe_from(args: argparse.Namespace) -> FilmRecipe:
    """Build the recipe from parsed options; raises UsageError when a value makes no sense."""
    given = [name for name in CT_OPTIONS if getattr(args, name) is not None]
    if given:
        raise _wrong(f"--{given[0]} belongs to CT phantoms: leave it out with --radiograph")
    for name, (low, high) in _LIMITS.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise _wrong(f"--{name} must lie between {low:g} and {high:g}")
    recipe = _named(args)
    lesions = tuple(
        replace(x, diameter_mm=args.size or x.diameter_mm, hu=x.hu if args.hu is None else args.hu)
        for x in recipe.phantom.lesions
    )
    phantom = replace(recipe.phantom, lesions=lesions, laterality=args.side or recipe.phantom.laterality)
    return FilmRecipe(
        phantom=phantom, views=_views(args.radiograph, phantom.region), exposure=_exposure(args, recipe.exposure)
    )


def _wrong(message: str) -> UsageError:
    return UsageError(message, code="phantom.value")


def _named(args: argparse.Namespace) -> FilmRecipe:
    if args.kind in {"random", "random-negative"}:
        return random_films(args.seed, has_lesions=args.kind == "random")
    kind = FILM_KINDS.get(args.kind) or KINDS.get(args.kind)
    if kind is None or (args.kind not in FILM_KINDS and kind.region not in LIMBS):
        limbs = [*FILM_KINDS, *(name for name, k in KINDS.items() if k.region in LIMBS)]
        msg = f"there is no film phantom of this kind: choose one of {', '.join(limbs)}, random, random-negative"
        raise UsageError(msg, code="phantom.unknown_kind")
    phantom: PhantomRecipe = kind.recipe(args.kind, seed=args.seed, scan=ScanRecipe())
    phantom = replace(phantom, description=phantom.description.replace("CT", "XR"))
    return FilmRecipe(phantom=phantom, exposure=exposure_of(kind.region))


def _views(text: str, region: Region) -> tuple[View, ...]:
    """Views by name; the one from the front is from above for a foot."""
    names = [name.strip().upper() for name in text.split(",")]
    front = View.DORSOPLANTAR if region is Region.FOOT else View.AP
    known = {View.AP.value: front, View.LATERAL.value: View.LATERAL}
    if any(name not in known for name in names) or len(set(names)) != len(names):
        raise _wrong("--radiograph takes AP, LAT or AP,LAT")
    return tuple(known[name] for name in names)


def _exposure(args: argparse.Namespace, start: ExposureRecipe) -> ExposureRecipe:
    """Change what the options name; a film without spacing is a CR film, an unprocessed one a DX film."""
    options = (
        ("pixel_mm", args.pixel),
        ("sid_mm", args.sid),
        ("gap_mm", args.gap),
        ("bits", args.bits),
        ("is_linear", args.linear),
        ("is_processed", args.processed),
        ("has_text", args.text),
        ("photometric", args.photometric and Photometric(args.photometric)),
        ("spacing", args.scale and Spacing(args.scale)),
        ("collimation", args.border and Collimation(args.border)),
        ("quanta_per_mm2", args.dose and args.dose * start.quanta_per_mm2),
    )
    changed: dict[str, Any] = {name: option for name, option in options if option is not None}
    is_linear = bool(changed.get("is_linear", start.is_linear))
    has_spacing = changed.get("spacing", start.spacing) is not Spacing.NONE
    if is_linear and not has_spacing:
        raise _wrong("--linear makes a DX film, which always has a spacing: leave out --scale none")
    if is_linear and changed.get("is_processed"):
        raise _wrong("--linear and --processed exclude each other")
    if is_linear:
        changed |= {"modality": "DX", "is_processed": False}
    elif not has_spacing:
        changed["modality"] = "CR"
    if args.transfer_syntax in FULL_DEPTH_ONLY and changed.setdefault("bits", 16) != 16:
        raise _wrong(f"{args.transfer_syntax} holds 16 bits here: leave out --bits or choose another --transfer-syntax")
    return replace(start, **changed)
