"""Synthetic CT studies and radiographs with known truth."""

from __future__ import annotations

from calcphantom.command import add_arguments, run
from calcphantom.dicom_series import TRANSFER_SYNTAXES, write_study
from calcphantom.kinds import KINDS, random_recipe
from calcphantom.place import NoRoomError
from calcphantom.recipe import Extra, Kernel, Layer, LesionRecipe, PhantomRecipe, Region, ScanRecipe
from calcphantom.study import make_phantom
from calcphantom.truth import LesionTruth, Truth

__all__ = [
    "KINDS",
    "TRANSFER_SYNTAXES",
    "Extra",
    "Kernel",
    "Layer",
    "LesionRecipe",
    "LesionTruth",
    "NoRoomError",
    "PhantomRecipe",
    "Region",
    "ScanRecipe",
    "Truth",
    "add_arguments",
    "make_phantom",
    "random_recipe",
    "run",
    "write_study",
]
