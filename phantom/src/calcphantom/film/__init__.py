"""Synthetic radiographs: rays through the same patients, exposed, written, and their truth."""
