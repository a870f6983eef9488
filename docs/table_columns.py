"""The data dictionary of ``studies.csv`` and ``lesions.csv``. Used by generate.py."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any, Final

import from_docstrings

from calcreport.formats.tables.columns import TABLES, Column
from calcreport.model.report import Report

HEAD: Final = """# Columns of the tables

Made from the model of the report by `make docs`; do not edit. One row a study in `studies.csv`, one row a lesion in
`lesions.csv`; `.parquet` holds the same with types. The path says where a value stands in `report.json`. An empty cell
is not measurable or not known: never zero, never "no". Lengths are mm, volumes mm3, densities HU, positions patient
LPS mm, at full precision. Columns marked *identifies* are there with `--identify` only. A text that a spreadsheet would
run as a formula has an apostrophe before it. How the tables are made: [cohort.md](cohort.md).
"""

MEANINGS: Final = {
    "study_instance_uid": "Name of the study's folder; the key that joins both tables",
    "patient_key": "The same for all studies of a patient id, with the same salt; empty without an id",
    "patient_id": "Patient ID",
    "sex": "Patient's Sex",
    "modality": "Of what was measured",
    "body_part": "Body Part Examined",
    "concern": "Highest of all lesions",
    "lesion_id": "Number in the report, by concern",
    "series_instance_uid": "Series the lesion was measured on",
    "max_diameter_mm": "Longest dimension of the mineral: maximum 3-D Feret diameter between outer edges",
    "ap_mm": "Extent of the mineral from front to back",
    "tr_mm": "Extent of the mineral from side to side",
    "cc_mm": "Extent of the mineral from head to foot",
    "axial_long_mm": "Longest diameter in one axial slice",
    "axial_short_mm": "Perpendicular to it, in the same slice",
    "volume_mm3": "Volume of the mineral",
    "uncertainty_mm": "Of the longest dimension, 95 %",
    "is_minimum": "The lesion is cut by the edge of the images: every length is a lower bound",
    "projected": "A radiograph: lengths are of the shadow",
    "max_diameter_px": "Radiographs: longest projected diameter in pixels",
    "perpendicular_px": "Radiographs: perpendicular to it, in pixels",
    "foci_count": "Number of separate deposits",
    "foci_largest_max_diameter_mm": "Longest dimension of the largest deposit",
    "mass_present": "Whether a contour or a clinician says there is a mass",
    "mass_mineral_fraction": "Share of the mass that is mineral, 0 to 1",
    "mean_hu": "Mean density of the mineral",
    "max_hu": "Highest density",
    "p95_hu": "95th percentile of the density",
    "sd_hu": "Standard deviation of the density",
    "depth_class": "Layer of the lesion",
    "depth_skin_distance_mm": "From outer edge to skin",
    "depth_fascia_distance_mm": "From outer edge to deep fascia",
    "pattern_id": "Pattern P01 to P30",
    "pattern_label": "The pattern in words",
    "pattern_confidence": "How sure the pattern is",
    "region": "Part of the body",
    "laterality": "Side of the patient",
    "first_image": "Lowest instance number that shows the lesion",
    "last_image": "Highest instance number that shows it",
}
"""What a name does not say by itself and the model says of the record as a whole only."""


def page() -> str:
    """Write the page."""
    parts = [HEAD]
    for table, columns in TABLES.items():
        rows = [f"| `{column.name}` | {_kind(column)} | {column.path} | {_meaning(column)} |" for column in columns]
        head = ["| column | type | path | meaning |", "|---|---|---|---|"]
        parts.append("\n".join([f"## {table}", "", *head, *rows, ""]))
    return "\n".join(parts)


def _kind(column: Column) -> str:
    words = f": {', '.join(f'`{word}`' for word in column.words)}" if column.words else ""
    return f"{column.kind}{words}{', *identifies*' if column.is_identifying else ''}"


def _meaning(column: Column) -> str:
    """Text under the field in the model, or of the record that holds it."""
    if column.name in MEANINGS:
        return MEANINGS[column.name]
    model: Any = Report
    text = ""
    for name in re.findall(r"[a-z_0-9]+", column.path.split(",")[0]):
        texts = _texts(model) if hasattr(model, "model_fields") else {}
        field = {"class": "class_"}.get(name, name)
        if field not in texts:
            break
        own = texts[field].rpartition("`. ")[2] if "`. " in texts[field] else ""
        text = own or ("" if model is Report else (inspect.getdoc(model) or "").split("\n", 1)[0])
        model = _inner(model.model_fields[field].annotation)
    return text.replace("``", "`").replace("|", "\\|")


@cache
def _texts(model: type) -> dict[str, str]:
    return dict(from_docstrings.fields(model))


def _inner(annotation: Any) -> Any:  # noqa: ANN401 - a type
    found = re.findall(r"calcreport\.model\.(\w+)\.(\w+)", str(annotation))
    if not found:
        return None
    module, name = found[0]
    return getattr(__import__(f"calcreport.model.{module}", fromlist=[name]), name)
