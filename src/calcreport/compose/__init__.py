"""Composition of findings and decision into one report, and its prose."""
