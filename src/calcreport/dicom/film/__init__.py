"""Radiographs to images in their own grey, with what their millimetres mean, or a refusal that says why."""
