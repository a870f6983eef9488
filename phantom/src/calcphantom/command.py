"""``calcreport phantom KIND --out DIR``: options in, a synthetic study out; films are in `film_command`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from calcphantom.dicom_series import TRANSFER_SYNTAXES, write_study
from calcphantom.film.command import FILM_OPTIONS, add_film_arguments, run_films
from calcphantom.kinds import KINDS, random_recipe
from calcphantom.place import NoRoomError
from calcphantom.recipe import WHOLE_BODY_REGIONS, Kernel, PhantomRecipe, ScanRecipe
from calcphantom.study import make_phantom
from calcreport.errors import OutputError, UsageError
from calcreport.model.image import Contrast

_BODY_KINDS: Final = {
    f"{region.value}{end}": (region, not end) for region in WHOLE_BODY_REGIONS for end in ("", "-negative")
}
"""Regions whose anatomy, lesions and incidental mineral follow from the seed."""
_DRAWN: Final = (*_BODY_KINDS, "random", "random-negative")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to a parser."""
    names = ", ".join(KINDS)
    parser.add_argument("kind", metavar="KIND", help=f"{names}, {', '.join(_DRAWN)}")
    parser.add_argument("--out", required=True, type=Path, help="folder for the DICOM files and truth.json")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same files (default 1)")
    number = partial(parser.add_argument, type=float, metavar="NUMBER")
    number("--pixel", help="distance between pixels, mm")
    number("--spacing", help="distance between slices, mm")
    number("--thickness", help="slice thickness, mm (default: the spacing)")
    number("--tilt", help="gantry tilt, degrees")
    number("--noise", help="standard deviation of the noise, HU")
    number("--dose", help="relative dose: 1 is 12 HU of noise, noise falls with its square root")
    number("--size", help="longest diameter of the lesions, mm")
    number("--hu", help="density of the mineral, HU")
    parser.add_argument("--kernel", choices=[k.value for k in Kernel], help="sharpness")
    phases = [c.value for c in Contrast if c is not Contrast.UNKNOWN]
    parser.add_argument("--contrast", choices=phases, help="contrast phase")
    parser.add_argument("--side", choices=("left", "right"), help="side of a limb")
    parser.add_argument("--transfer-syntax", choices=list(TRANSFER_SYNTAXES), default="explicit", help="compression")
    add_film_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the study that the options describe; returns the exit code 0.

    Raises
    ------
    UsageError
        ``phantom.unknown_kind``, ``phantom.value`` or ``phantom.no_room``.
    OutputError
        ``phantom.write``: the folder cannot be written.
    """
    if args.radiograph is not None:
        return run_films(args)
    given = [name for name in FILM_OPTIONS if getattr(args, name) is not None]
    if given:
        msg = f"--{given[0]} belongs to films: add --radiograph"
        raise UsageError(msg, code="phantom.value")
    recipe = recipe_from(args)
    try:
        volume, truth = make_phantom(recipe)
    except NoRoomError as error:
        msg = f"{error}: choose a smaller --size, another --seed or another kind"
        raise UsageError(msg, code="phantom.no_room") from error
    try:
        paths = write_study(volume, truth, recipe, args.out, transfer_syntax=args.transfer_syntax)
    except OSError as error:
        msg = f"the study cannot be written ({error.strerror}): choose another --out folder or free some space"
        raise OutputError(msg, code="phantom.write") from error
    sys.stdout.write(f"{len(paths) - 1} slices and truth.json written: {len(truth.lesions)} lesion(s)\n")
    return 0


def recipe_from(args: argparse.Namespace) -> PhantomRecipe:
    """Build the recipe from parsed options; raises UsageError when a value makes no sense."""
    if args.kind in {"random", "random-negative"}:
        recipe = random_recipe(args.seed, has_lesions=args.kind == "random")
    elif args.kind in _BODY_KINDS:
        region, has_lesions = _BODY_KINDS[args.kind]
        recipe = random_recipe(args.seed, has_lesions=has_lesions, region=region)
    elif args.kind in KINDS:
        recipe = KINDS[args.kind].recipe(args.kind, seed=args.seed, scan=ScanRecipe())
    else:
        msg = f"there is no phantom of this kind: choose one of {', '.join((*KINDS, *_DRAWN))}"
        raise UsageError(msg, code="phantom.unknown_kind")
    scan = _scan_from(args, recipe.scan)
    lesions = tuple(
        replace(
            lesion,
            diameter_mm=lesion.diameter_mm if args.size is None else args.size,
            hu=lesion.hu if args.hu is None else args.hu,
        )
        for lesion in recipe.lesions
    )
    return replace(recipe, scan=scan, lesions=lesions, laterality=args.side or recipe.laterality)


def _scan_from(args: argparse.Namespace, scan: ScanRecipe) -> ScanRecipe:
    limits = {
        "pixel": (0.2, 3.0),
        "spacing": (0.2, 20.0),
        "thickness": (0.2, 20.0),
        "tilt": (-30.0, 30.0),
        "noise": (0.0, 200.0),
        "dose": (0.01, 100.0),
        "size": (1.0, 250.0),
        "hu": (-100.0, 3000.0),
    }
    for name, (low, high) in limits.items():
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            msg = f"--{name} must lie between {low:g} and {high:g}"
            raise UsageError(msg, code="phantom.value")
    noise = args.noise if args.noise is not None else scan.noise_hu
    if args.dose is not None:
        noise = 12.0 / args.dose**0.5
    return replace(
        scan,
        pixel_mm=args.pixel or scan.pixel_mm,
        spacing_mm=args.spacing or scan.spacing_mm,
        thickness_mm=args.thickness or (None if args.spacing else scan.thickness_mm),
        tilt_deg=scan.tilt_deg if args.tilt is None else args.tilt,
        noise_hu=noise,
        kernel=Kernel(args.kernel) if args.kernel else scan.kernel,
        contrast=Contrast(args.contrast) if args.contrast else scan.contrast,
    )
