"""Calcification on projection radiographs: found by contrast against the surroundings, never by a grey level."""
