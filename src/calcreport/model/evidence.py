"""What conclusions rest on besides the images: an earlier study, laboratory values, typed inputs, rules, a review."""

from __future__ import annotations

from typing import Any, Literal

from calcreport.model.overlay import PairStatus
from calcreport.model.terms import Concern, FlagState, Record, YesNo


class LesionGrowth(Record):
    """Change of a lesion since an earlier study, and how sure it is that it is the same lesion."""

    status: PairStatus
    """``matched``: named by the reader, or the one lesion of the earlier report that can be meant; ``new``: the earlier
    images show the place without mineral."""
    comparable: YesNo = YesNo.UNKNOWN
    reason: str = ""
    """Why nothing is claimed; empty when the lengths may be compared."""
    prior_id: str | None = None
    """Name in the earlier report."""
    prior_date: str | None = None
    """ISO 8601."""
    basis: Literal["mass", "mineral"] | None = None
    earlier_lengths: tuple[tuple[str, float], ...] = ()
    """Day, ISO 8601, and length in mm of comparable studies before the earlier one, the first first."""
    before_mm: float | None = None
    now_mm: float | None = None
    interval_days: int | None = None
    change_mm: float | None = None
    change_percent: float | None = None
    change_mm_per_month: float | None = None
    """Month of 30.4375 days; ``None`` when the interval is not known."""
    error_mm: float | None = None
    """Error of both lengths together: a change within it is none."""
    volume_before_mm3: float | None = None
    volume_now_mm3: float | None = None
    volume_change_percent: float | None = None
    course: Literal["stable", "smaller", "larger", "larger_in_volume"] | None = None
    """What the numbers show: stable is no change beyond the error and below every growth limit; ``None`` where the
    lengths may not be compared."""
    stable_since: str | None = None
    """Day of the earliest study in an unbroken chain of comparable ones without growth, ISO 8601."""
    stable_from_mm: float | None = None
    """Length on that day: the present one is held against it too."""
    stable_days: int | None = None
    """Days since then."""


class PriorStudy(Record):
    """The earlier study lesions were compared with."""

    source: Literal["reader", "report", "images"]
    date: str | None = None
    """ISO 8601."""
    modality: str | None = None
    vanished: tuple[str, ...] = ()
    """Earlier lesions that are gone: their place was searched now."""


class LabResult(Record):
    """One laboratory value as used: as given, in both systems of units, and what it is against its range."""

    test: str
    value: float
    unit: str
    si_value: float
    si_unit: str
    conventional_value: float
    conventional_unit: str
    low: float | None = None
    high: float | None = None
    """Limits the value was held against, in the SI unit."""
    range_source: Literal["laboratory", "adult default", "none"] = "none"
    state: Literal["low", "normal", "high", "unknown"] = "unknown"
    date: str | None = None
    """ISO 8601."""
    age_days: int | None = None
    """Days from the sample to the study; negative when it was taken afterwards."""
    is_used: bool = True
    reason: str = ""
    """Why the value is not used, or why it has no state."""


class Laboratory(Record):
    """Laboratory values and what is calculated from them."""

    results: tuple[LabResult, ...] = ()
    calcium_state: Literal["low", "normal", "high", "unknown"] = "unknown"
    """What the rules go by: the ionised value where there is one, else total calcium, adjusted if albumin is known."""
    is_calcium_urgent: bool = False
    """So high that it is the first thing said."""
    adjusted_calcium_mmol_l: float | None = None
    """Adjusted for albumin; ``None`` when albumin is unknown."""
    adjusted_calcium_mg_dl: float | None = None
    product_mg2_dl2: float | None = None
    """Calcium x phosphate, with adjusted calcium where albumin is known."""
    product_mmol2_l2: float | None = None
    product_band: Literal["normal", "raised", "markedly raised"] | None = None
    product_limit_mg2_dl2: float | None = None
    remarks: tuple[str, ...] = ()


class UsedInput(Record):
    """One input that a person or the image header can give: what was used, from whom, and whether they agree."""

    name: str
    """As in the clinical file, such as ``"patient.age_years"``."""
    value: float | str
    source: Literal["clinician", "header"]
    header_value: float | str | None = None
    is_contradicted: bool = False
    """The header says something else; the typed value was used."""


class RulesUsed(Record):
    """The rules a report was made with."""

    name: str
    version: str
    sha256: str
    """Of the tables' text, the site's own included."""
    warnings: tuple[str, ...] = ()
    """What the site's rules take out of, or change in, the safety rows: red flags, referral, the ban on biopsy."""


class ReviewChange(Record):
    """One value that a reader replaced."""

    field: str
    """Path in the lesion, such as ``"depth.class"``."""
    measured: Any
    """Value before, ``None`` where there was none."""
    reader: Any
    """Value by the reader, which stands in the report now."""
    is_edit: bool = False
    """Typed into the report itself rather than into a review; a later review does not take it back."""


class LesionReview(Record):
    """A reader's decision about one lesion."""

    status: Literal["accepted", "rejected", "corrected"]
    reason: str | None = None
    """Why; a rejection has one."""
    reader: str | None = None
    date: str | None = None
    """Day of the decision, ISO 8601."""
    changes: tuple[ReviewChange, ...] = ()


class OtherAnswerLesion(Record):
    """What another answer would change about one lesion; only what differs is named."""

    lesion: str
    concern: Concern
    flags: dict[str, FlagState]
    """Flag to the state it would have."""
    leading: str | None
    """Class that would lead, or lead with another certainty; ``None`` when nothing of that changes."""
    label: str
    certainty: str
    is_weaker: bool = False
    """The same class would lead as now, with less certainty."""
    recommended: tuple[str, ...]
    """Of referral (R09), no biopsy (R11) and same-day contact (R13): what would be said."""
    withdrawn: tuple[str, ...]
    """… and what would no longer be said."""


class OtherAnswer(Record):
    """An answer to an input that is unknown now, and what it would change; found by asking the rules again."""

    input: str
    """As in the clinical file; ``lesion.`` before a field of the findings."""
    answer: str
    """A word, or of a number the interval between two limits of the rules."""
    text: str
    is_told: bool
    """Among the few that the text section names."""
    concern: Concern
    """Of the study with this answer."""
    lesions: tuple[OtherAnswerLesion, ...]
