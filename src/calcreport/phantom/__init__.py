"""Synthetic CT studies with known truth."""

from __future__ import annotations

from calcreport.phantom.recipe import Extra, Kernel, Layer, LesionRecipe, PhantomRecipe, Region, ScanRecipe
from calcreport.phantom.study import make_phantom
from calcreport.phantom.truth import LesionTruth, Truth

__all__ = [
    "Extra",
    "Kernel",
    "Layer",
    "LesionRecipe",
    "LesionTruth",
    "PhantomRecipe",
    "Region",
    "ScanRecipe",
    "Truth",
    "make_phantom",
]
