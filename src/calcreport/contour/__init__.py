"""A reader's contour of the whole lesion, from whatever file it was drawn into, laid on the voxels of the CT."""
