"""Real CT series, where a folder with them is named in CALCREPORT_REAL_CT (one study a folder, images below)."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest

ROOT = os.environ.get("CALCREPORT_REAL_CT", "")
pytestmark = pytest.mark.skipif(not ROOT, reason="CALCREPORT_REAL_CT names no folder")


@pytest.mark.parametrize("folder", sorted(Path(ROOT).iterdir()) if ROOT else [], ids=lambda path: path.name)
def test_a_real_series_is_read_as_pydicom_reads_it(folder, reader):
    ct = reader.read(folder)
    by_uid = {s.sop_instance_uid: i for i, s in enumerate(ct.volume.slices)}
    compared = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file())[::20]:
        ds = pydicom.dcmread(path, force=True)
        if ds.get("SOPInstanceUID") not in by_uid:
            continue
        index = by_uid[ds.SOPInstanceUID]
        assert (ct.volume.hu[index] == ds.pixel_array * ds.RescaleSlope + ds.RescaleIntercept).all()
        assert ct.volume.geometry.lps_mm(ct.volume.geometry.index(ds.ImagePositionPatient)) == pytest.approx(
            ds.ImagePositionPatient
        )
        assert ct.volume.geometry.index(ds.ImagePositionPatient)[0] == pytest.approx(index, abs=0.02)
        compared += 1
    assert compared
