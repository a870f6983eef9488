"""Soft-tissue calcification on CT: found, grouped, measured, its pattern read."""
