"""Bytes to images: find DICOM files, sort them into series, read CT in Hounsfield units and radiographs.

Nothing is measured on doubtful geometry or densities: `read_ct` and `read_radiograph` refuse with a code of `CODES`.
"""

from __future__ import annotations

from calcreport.dicom.codes import CODES, Code
from calcreport.dicom.ct import CtSeries, read_ct
from calcreport.dicom.discover import discover
from calcreport.dicom.film import Film
from calcreport.dicom.radiograph import read_radiograph
from calcreport.dicom.rank import rank_ct_series, rank_radiographs
from calcreport.dicom.series import Discovery, RadiographRanking, SeriesFiles, SeriesRanking, SetAside, StudyFiles

__all__ = [
    "CODES",
    "Code",
    "CtSeries",
    "Discovery",
    "Film",
    "RadiographRanking",
    "SeriesFiles",
    "SeriesRanking",
    "SetAside",
    "StudyFiles",
    "discover",
    "rank_ct_series",
    "rank_radiographs",
    "read_ct",
    "read_radiograph",
]
