"""Laboratory values: units, conversion, what is physiologically possible, and reference ranges.

Each test has one unit of calculation (SI). A value without a unit, in a unit nobody uses for that test, or outside
what a living patient can have after conversion is a typing mistake and is refused by name, never used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MG_DL_PER_MMOL_L_CALCIUM: Final = 4.008
"""Atomic weight of calcium 40.08 g/mol."""

MG_DL_PER_MMOL_L_PHOSPHATE: Final = 3.097
"""Phosphate is given as phosphorus, 30.97 g/mol."""


@dataclass(frozen=True, slots=True)
class Analyte:
    """One laboratory test."""

    name: str
    """As a reader says it."""
    unit: str
    """Unit of calculation."""
    possible: tuple[float, float]
    """Lowest and highest value a living patient can have, in `unit`, inclusive."""
    reference: tuple[float | None, float | None]
    """Adult range used when the laboratory gave none, in `unit`; ``None`` where there is no limit."""
    conventional: tuple[str, float]
    """Conventional unit and the factor to it from `unit`; the unit itself and 1 where there is only one."""
    factors: Mapping[str, float]
    """Value in `unit` for one of the key's unit; keys as `plain_unit` writes them."""
    reference_of: Mapping[str, tuple[float | None, float | None]] | None = field(default=None, kw_only=True)
    """Adult range by sex (``F``, ``M``) where they differ."""
    is_adult_only: bool = field(default=False, kw_only=True)
    """Children differ so much that the adult range says nothing about them."""


def plain_unit(unit: str) -> str:
    """One spelling of a unit: lower case, no blanks, ``u`` for micro, no ``^`` and no ``*``."""
    text = unit.strip().lower().replace("\u00b5", "u").replace("\u03bc", "u").replace("\u00b2", "2")
    return re.sub(r"[\s^*]", "", text).replace("iu/", "u/").replace("mcmol", "umol").replace("mcg", "ug")


_CALCIUM: Final = {"mmol/l": 1.0, "mg/dl": 1 / MG_DL_PER_MMOL_L_CALCIUM, "meq/l": 0.5}  # mmol/L for one of each unit
_PHOSPHATE: Final = {"mmol/l": 1.0, "mg/dl": 1 / MG_DL_PER_MMOL_L_PHOSPHATE}  # mmol/L for one of each unit
_ENZYME: Final = {"u/l": 1.0, "ukat/l": 60.0}  # U/L for one of each unit

# Tests of blood that a finding may depend on.
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    # test, name, unit, possible, reference, conventional unit and factor to it, factors of the spellings of units
    ("calcium", "serum calcium", "mmol/L", (1.0, 5.0), (2.20, 2.60), ("mg/dL", MG_DL_PER_MMOL_L_CALCIUM), _CALCIUM),
    ("ionised_calcium", "ionised calcium", "mmol/L", (0.4, 3.0), (1.10, 1.30), ("mg/dL", MG_DL_PER_MMOL_L_CALCIUM),
     _CALCIUM),
    ("albumin", "serum albumin", "g/L", (5.0, 70.0), (35.0, 50.0), ("g/dL", 0.1), {"g/l": 1.0, "g/dl": 10.0}),
    ("phosphate", "serum phosphate", "mmol/L", (0.1, 6.0), (0.80, 1.45), ("mg/dL", MG_DL_PER_MMOL_L_PHOSPHATE),
     _PHOSPHATE),
    ("pth", "parathyroid hormone", "pmol/L", (0.05, 700.0), (1.6, 6.9), ("pg/mL", 1 / 0.106),
     {"pmol/l": 1.0, "pg/ml": 0.106, "ng/l": 0.106}),
    ("alp", "alkaline phosphatase", "U/L", (3.0, 10_000.0), (40.0, 133.0), ("U/L", 1.0), _ENZYME),
    ("creatinine", "serum creatinine", "umol/L", (10.0, 2500.0), (45.0, 110.0), ("mg/dL", 1 / 88.42),
     {"umol/l": 1.0, "mmol/l": 1000.0, "mg/dl": 88.42}),
    ("egfr", "estimated glomerular filtration rate", "mL/min/1.73m2", (1.0, 200.0), (60.0, None),
     ("mL/min/1.73m2", 1.0), {"ml/min/1.73m2": 1.0, "ml/min": 1.0, "ml/min/1.73": 1.0}),
    ("vitamin_d", "25-hydroxyvitamin D", "nmol/L", (2.0, 1500.0), (50.0, 200.0), ("ng/mL", 1 / 2.496),
     {"nmol/l": 1.0, "ng/ml": 2.496, "ug/l": 2.496}),
    ("ck", "creatine kinase", "U/L", (5.0, 500_000.0), (None, 200.0), ("U/L", 1.0), _ENZYME),
    ("urate", "serum urate", "umol/L", (20.0, 2000.0), (140.0, 430.0), ("mg/dL", 1 / 59.48),
     {"umol/l": 1.0, "mmol/l": 1000.0, "mg/dl": 59.48}),
)  # fmt: skip
_ADULT_ONLY: Final = frozenset(("phosphate", "alp", "creatinine"))  # children have other reference ranges
_BY_SEX: Final = {"creatinine": {"F": (45.0, 90.0), "M": (60.0, 110.0)}}  # reference range in umol/L

ANALYTES: Final[Mapping[str, Analyte]] = MappingProxyType(
    {test: Analyte(*row, reference_of=_BY_SEX.get(test), is_adult_only=test in _ADULT_ONLY) for test, *row in _ROWS}
)
"""Conversions from molar masses; adult ranges from the tables of PMC7276095 and PMC4975217 (rounded outwards where
they differ), kidney limit from KDIGO. A range supplied with the result always wins."""


def convert(analyte: Analyte, value: float, unit: str) -> float | None:
    """Value in the analyte's unit of calculation; ``None`` for a unit the test is never given in."""
    factor = analyte.factors.get(plain_unit(unit))
    return None if factor is None else value * factor


def adjust_calcium(calcium_mmol_l: float, albumin_g_l: float) -> float:
    """Calcium in mmol/L adjusted for albumin in g/L; known to be unreliable in renal failure.

    References
    ----------
    Payne et al., BMJ 1973;4:643: + 0.02 mmol/L for every g/L of albumin below 40.
    """
    return calcium_mmol_l + 0.02 * (40.0 - albumin_g_l)


def calcium_phosphate_product(calcium_mmol_l: float, phosphate_mmol_l: float) -> float:
    """Calcium x phosphate product in mg2/dL2, from mmol/L; rounded to 1e-6 so that limits compare cleanly.

    References
    ----------
    KDOQI guideline 6 (2003): keep below 55 mg2/dL2.
    """
    return round(calcium_mmol_l * MG_DL_PER_MMOL_L_CALCIUM * phosphate_mmol_l * MG_DL_PER_MMOL_L_PHOSPHATE, 6)
