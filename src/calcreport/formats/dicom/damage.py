"""Refusals of a report whose masks or images do not fit: damaged, edited by hand, or of another study."""

from __future__ import annotations

from calcreport.errors import UsageError


def other_images() -> UsageError:
    """Error for an image that the report names and the study does not have."""
    msg = "the images found are not those the report was made from; name the study with --study, or analyse it anew"
    return UsageError(msg, code="render.other_images")


def damaged_shape() -> UsageError:
    """Error for a lesion without any voxel or pixel."""
    msg = "the report does not hold where its lesions are, or it was damaged; take the original one or analyse anew"
    return UsageError(msg, code="render.damaged_shape")
