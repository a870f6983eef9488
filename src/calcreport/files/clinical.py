"""Text of a clinical file, YAML or JSON, to checked clinical input."""

from __future__ import annotations

from calcreport.errors import ClinicalError
from calcreport.files.typed_text import MAX_CHARACTERS, values_from_text
from calcreport.model.clinical import Clinical, parse_row

__all__ = ["MAX_CHARACTERS", "clinical_from_text"]


def clinical_from_text(text: str) -> Clinical:
    """Read a clinical file.

    Parameters
    ----------
    text : str
        YAML or JSON (which is YAML); empty text means that nothing is known.

    Returns
    -------
    Clinical
        Checked input.

    Raises
    ------
    ClinicalError
        ``clinical.not_yaml`` when the text is neither YAML nor JSON, too long, repeats a key or uses references;
        ``clinical.not_mapping`` when it is not a mapping of sections; else as `parse_row`.
    """
    data = values_from_text(text, area="clinical")
    if data is None:
        return Clinical()
    if isinstance(data, dict):
        return parse_row(data)[1]  # whom typed findings are about is not known
    msg = "The clinical file must be a mapping of sections (patient, symptoms, history, labs, ...)."
    raise ClinicalError(msg, code="clinical.not_mapping")
