"""Text of a review file, YAML or JSON, to a checked review."""

from __future__ import annotations

from calcreport.errors import ClinicalError
from calcreport.files.typed_text import values_from_text
from calcreport.model.typed_review import Review, parse_review


def review_from_text(text: str) -> Review:
    """Read a review file, YAML or JSON (which is YAML), and check it.

    Raises `ClinicalError` ``review.not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses
    references; ``review.not_mapping`` when it is not a mapping with ``lesions``; else as `parse_review`.
    """
    data = values_from_text(text, area="review")
    if isinstance(data, dict):
        review = parse_review(data)
        if isinstance(data.get("lesions"), dict):
            return review
    msg = "The review file must be a mapping that holds 'lesions:' with one entry a lesion, such as 'L1: accept'."
    raise ClinicalError(msg, code="review.not_mapping")
