"""Bytes to images: find DICOM files, sort them into series, read CT in Hounsfield units.

Nothing is measured on doubtful geometry or densities: `read_ct` refuses with a code of `CODES`.
"""

from __future__ import annotations

from calcreport.dicom.codes import CODES, Code
from calcreport.dicom.ct import CtSeries, read_ct
from calcreport.dicom.discover import discover
from calcreport.dicom.rank import rank_ct_series
from calcreport.dicom.series import Discovery, SeriesFiles, SeriesRanking, SetAside, StudyFiles

__all__ = [
    "CODES",
    "Code",
    "CtSeries",
    "Discovery",
    "SeriesFiles",
    "SeriesRanking",
    "SetAside",
    "StudyFiles",
    "discover",
    "rank_ct_series",
    "read_ct",
]
