"""Synthetic CT studies and radiographs with known truth."""

from __future__ import annotations

from calcreport.phantom.command import add_arguments, run
from calcreport.phantom.dicom_series import TRANSFER_SYNTAXES, write_study
from calcreport.phantom.kinds import KINDS, random_recipe
from calcreport.phantom.place import NoRoomError
from calcreport.phantom.recipe import Extra, Kernel, Layer, LesionRecipe, PhantomRecipe, Region, ScanRecipe
from calcreport.phantom.study import make_phantom
from calcreport.phantom.truth import LesionTruth, Truth

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
