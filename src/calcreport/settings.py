"""One tree of settings, each default with its reason. Built once a run: defaults < file < command line."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from calcreport.model.report import Record


class SettingsBlock(Record):
    """Base of a table of settings: what stands under a field is its description in the JSON Schema too."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ReadingSettings(SettingsBlock):
    """Limits on what is read."""

    max_file_bytes: int = Field(default=2_147_483_648, gt=0)
    """Largest file opened, bytes: an enhanced CT of 4000 slices is 2 GiB; larger is a mistake or an attack."""
    max_volume_voxels: int = Field(default=1_600_000_000, gt=0)
    """Largest volume held in memory, voxels: 3 GiB as int16, six times a 1000-slice study of 512 x 512."""
    max_files: int = Field(default=200_000, gt=0)
    """Most files looked at in one run: guards against a path such as ``/``."""


class DetectionSettings(SettingsBlock):
    """Thresholds of detection, HU, and the smallest deposit."""

    grow_none_hu: float = 130.0
    """Non-contrast growth limit: Agatston's 130 HU."""
    seed_none_hu: float = 200.0
    """Non-contrast seed: below it urate, dense fluid and noise live."""
    venous_hu: float = 300.0
    """Venous phase: best agreement with non-contrast scores."""
    arterial_hu: float = 300.0
    """Arterial phase: where no vessel could be measured none of 12 lesions was found at 800 HU, 8 at 300 HU."""
    unknown_hu: float = 300.0
    """Contrast given, phase not recorded and no enhanced blood measured: safe against vessels too narrow to measure."""
    grow_hu: float | None = None
    """Typed growth limit; overrides all of the above."""
    seed_hu: float | None = None
    """Typed seed; overrides all of the above."""
    min_volume_mm3: float = Field(default=2.0, ge=0)
    """Smallest deposit in mm3."""
    group_distance_mm: float = Field(default=10.0, gt=0)
    """Foci closer than this in mm, in one compartment, are one lesion: about the distance at which two deposits of one
    process cannot be kept apart from one."""
    patterns: dict[str, Any] = Field(default={})
    """Tables ``sign`` and ``pattern`` of a site, applied to those that patterns are read from: see
    ``calcreport rules list --table feature``."""


class PolicySettings(SettingsBlock):
    """Choices of the site in the decision logic."""

    strict_s1: bool = False
    """Every flag refers, whatever the pattern. Off: the referral criteria to the letter would refer every phlebolith of
    the pelvis; what explains a flag is printed beside it instead."""
    followup_for_definite_benign: bool = False
    """Follow up even definite phleboliths and arterial calcification. Off: the sources name them harmless."""
    size_limit_mm: float = Field(default=50.0, gt=0)
    """Limit of the size flag in mm: 5 cm, as the referral criteria say; `size_operator` says whether it counts."""
    size_operator: Literal[">", ">="] = ">"
    """Whether the size flag needs more than the limit (">", as AJCC has it) or only the limit itself (">=", as the
    Scottish and the European pathways have it)."""
    size_possible_mm: float = Field(default=45.0, gt=0)
    """Size flag possible from here, in mm: several pathways act at 5 cm or more, one guideline's evidence at 4.3 cm."""
    small_lesion_limit_mm: float = Field(default=20.0, gt=0)
    """"Small" in the observation rule, in mm: no source gives a number; at tumour centres even of those below 2 cm some
    15 % were malignant, so that small alone never reassures."""
    head_neck_note_mm: float = Field(default=20.0, gt=0)
    """Length from which the head and neck note is printed, in mm: staging starts its second class there above 2 cm."""
    growth_percent: float = Field(default=20.0, gt=0)
    """Growth is present from this, in % of the earlier length (RECIST 1.1) ..."""
    growth_mm: float = Field(default=5.0, gt=0)
    """... together with this, in mm (RECIST 1.1). Either one alone, or any change beyond the error of both
    measurements, makes growth possible."""
    typed_length_error_mm: float = Field(default=1.0, ge=0)
    """Error of a length that comes without one, in mm: readers set callipers to whole millimetres (proposal)."""
    volume_error_percent: float = Field(default=20.0, ge=0)
    """Least error of a change of volume, in % of the earlier volume: the volume above a limit in HU depends on how the
    grid falls on the deposit, also where its length does not (proposal)."""
    phlebolith_limit_mm: float = Field(default=15.0, gt=0)
    """Largest single phlebolith in mm; with a larger focus the pattern is contradictory. Proposal: half of them are
    below 5 mm, and no series gives a limit for limbs."""
    tendon_deposit_limit_mm: float = Field(default=30.0, gt=0)
    """Largest calcium deposit of a tendon in mm: more than 15 mm is called large (proposal: twice that)."""
    injection_granuloma_limit_mm: float = Field(default=30.0, gt=0)
    """Largest injection granuloma in mm where injections are documented (proposal)."""
    small_nodule_limit_mm: float = Field(default=20.0, gt=0)
    """Largest of the "small nodules" of the buttock in mm where no injections are documented (proposal: the limit of
    small lesions)."""
    rice_grain_limit_mm: float = Field(default=23.0, gt=0)
    """Largest rice-grain calcification of cysticercosis in mm, as published."""
    node_limit_mm: float = Field(default=30.0, gt=0)
    """Largest short axis of a lymph node in mm that explains size and depth (proposal: three times the usual limit)."""
    plaque_across_mm: float = Field(default=10.0, gt=0)
    """Largest extent of arterial wall mineral across the vessel in mm (proposal: calibre of the femoral artery)."""
    urgent_calcium_mmol_l: float = Field(default=3.0, gt=0)
    """Serum calcium in mmol/L, adjusted for albumin where known, from which the report is urgent: guidance on acute
    hypercalcaemia asks for prompt treatment above 3.0 to 3.5."""
    max_laboratory_age_days: int = Field(default=183, gt=0)
    """Laboratory values further than this many days from the study are named and not used: six months. The tests then
    count as not given, and are asked for."""


class RunSettings(SettingsBlock):
    """Limits of one run."""

    max_study_seconds: float = Field(default=3600.0, gt=0)
    """A study that takes longer is stopped, so that one damaged study cannot hold up the others."""


class OutputSettings(SettingsBlock):
    """What is written."""

    max_key_images: int = Field(default=12, ge=0)
    """Most key images of lesions drawn in a study, in PNG, page, PDF and secondary captures: as many as a reader looks
    at. Lesions of most concern come first, then the longest; the page names the image of every other one."""


class TextSettings(SettingsBlock):
    """How ``report.txt`` is laid out."""

    wrap_columns: int | None = Field(default=None, ge=40, le=1000)
    """Longest line of ``report.txt`` in characters, such as 80. Off: a paragraph is one line, which the dictation
    system wraps; HL7 always has paragraphs, and the full text 80 columns."""


class RuleSettings(SettingsBlock):
    """The site's own rules."""

    path: str | None = Field(default=None, min_length=1, max_length=1000)
    """TOML file or folder of rules applied to the built-in ones, from the settings file's folder; ``--rules`` wins."""


class Settings(SettingsBlock):
    """The effective settings of a run; written into every report."""

    reading: ReadingSettings = ReadingSettings()
    detection: DetectionSettings = DetectionSettings()
    policy: PolicySettings = PolicySettings()
    rules: RuleSettings = RuleSettings()
    run: RunSettings = RunSettings()
    output: OutputSettings = OutputSettings()
    text: TextSettings = TextSettings()
