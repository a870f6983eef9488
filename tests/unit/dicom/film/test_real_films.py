"""Real radiographs, where a folder with public samples is named in CALCREPORT_REAL_FILMS."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest

from calcreport.dicom import discover, rank_films, read_film
from calcreport.model.film import ScaleKind

ROOT = os.environ.get("CALCREPORT_REAL_FILMS", "")
pytestmark = pytest.mark.skipif(not ROOT, reason="CALCREPORT_REAL_FILMS names no folder")


def sample(name):
    path = Path(ROOT) / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    return path


def test_two_codecs_of_one_film_give_the_same_pixels(film_reader):
    one, other = (film_reader.read(sample(name)) for name in ("RG3_RLE", "RG3_J2KR"))
    assert (one.intensity == other.intensity).all()
    assert one.scale.kind is other.scale.kind is ScaleKind.NONE
    assert (one.view.position, one.view.laterality) == ("AP", "right")


def test_a_spacing_of_zero_is_no_scale(film_reader):
    film = film_reader.read(sample("RG1_JLSN"))
    assert film.scale.kind is ScaleKind.NONE
    assert any("Pixel Spacing is zero" in note for note in film.scale.notes)
    assert film.is_imaged.all()  # its collimator's edges are not those of the matrix


def test_every_film_is_read_as_pydicom_reads_it_or_refused_by_name(film_reader):
    compared = 0
    with discover([Path(ROOT)], settings=film_reader.settings) as found:
        for study in found.studies:
            for film in rank_films(study).candidates:
                radiograph = read_film(film, settings=film_reader.settings)
                ds = next(
                    data
                    for path in sorted(Path(ROOT).iterdir())
                    if path.is_file()
                    and (data := pydicom.dcmread(path, force=True)).get("SOPInstanceUID") == film.image.instance_uid
                )
                if str(ds.file_meta.TransferSyntaxUID) in {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}:
                    top = (1 << ds.BitsStored) - 1
                    stored = ds.pixel_array.astype(int)
                    expected = top - stored if ds.PhotometricInterpretation == "MONOCHROME1" else stored
                    assert (radiograph.intensity == expected).all()
                    compared += 1
    assert compared
