"""Where a single lesion lies, when only the clinician knows: the complaint can be about no other."""

from __future__ import annotations

from calcreport.model.clinical import Clinical
from calcreport.model.findings import Findings
from calcreport.model.report import Laterality


def place_by_complaint(findings: Findings, clinical: Clinical) -> Findings:
    """Give a single lesion the region and side of the complaint where it has none.

    `findings`: measured or typed. Several lesions stay as they are: the complaint may be about any of them; `clinical`:
    site of the complaint. Gives what was known of the place is not changed.
    """
    if len(findings.lesions) != 1:
        return findings
    lesion = findings.lesions[0]
    place = lesion.location
    side = clinical.site.laterality if place.laterality is Laterality.UNKNOWN else place.laterality
    placed = place.model_copy(update={"region": place.region or clinical.site.region, "laterality": side})
    return findings.model_copy(update={"lesions": (lesion.model_copy(update={"location": placed}),)})
