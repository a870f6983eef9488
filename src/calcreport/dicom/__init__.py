"""Bytes to images: find DICOM files, sort them into series, read CT in Hounsfield units and radiographs.

Nothing is measured on doubtful geometry or densities: `read_ct` and `read_film` refuse with a code of `CODES`.
"""

from __future__ import annotations

from calcreport.dicom.codes import CODES
from calcreport.dicom.ct.read import CtSeries, CtStack, read_ct
from calcreport.dicom.discover import discover
from calcreport.dicom.film.read import read_film
from calcreport.dicom.header.image_header import FilmHeader
from calcreport.dicom.rank import rank_ct_series, rank_films
from calcreport.dicom.series import Discovery, FilmRanking, SeriesFiles, SeriesRanking, StudyFiles

__all__ = [
    "CODES", "CtSeries", "CtStack", "Discovery", "FilmHeader", "FilmRanking", "SeriesFiles", "SeriesRanking",
    "StudyFiles", "discover", "rank_ct_series", "rank_films", "read_ct", "read_film",
]  # fmt: skip
