"""Every identifying attribute holds a marker; no marker may leave through anything but the report itself."""

import os
import resource
import subprocess
import threading
import warnings
from pathlib import Path

import pytest

MARKERS = {
    "PatientName": "Canaryname^Given",
    "PatientID": "CANARYID7",
    "PatientBirthDate": "19010203",
    "PatientAddress": "CANARY Street",
    "OtherPatientIDs": "CANARYOTHER",
    "PatientComments": "CANARYCOMMENT",
    "AccessionNumber": "CANARYACC",
    "InstitutionName": "CANARYINSTITUTION",
    "ReferringPhysicianName": "Canaryreferrer^X",
    "PhysiciansOfRecord": "Canaryrecord^X",
    "OperatorsName": "Canaryoperator^X",
    "StationName": "CANARYSTATION",
    "StudyDescription": "CANARYSTUDY",
    "SeriesDescription": "CANARYSERIES",
    "ProtocolName": "CANARYPROTOCOL",
    "StudyID": "CANARYSTUDYID",
    "RequestingPhysician": "Canaryrequest^X",
    "ImageComments": "CANARYIMAGE",
    "DeviceSerialNumber": "CANARYSERIAL",
}
INVALID = {
    "PatientAge": "CANARYAGE-not-an-age",
    "PatientSex": "CANARYSEX",
    "StudyDate": "CANARYDATE",
    "StudyTime": "CANARYTIME",
}


def _leaks(text: str) -> list[str]:
    return [word for word in ("canary", "19010203") if word in text.lower()]


class _NameWatch(threading.Thread):
    """Notes every name that ever appears below a folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.names, self.is_over = root, set(), threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(0.002):
            for _folder, folders, files in os.walk(self.root):
                self.names.update(folders, files)


@pytest.mark.parametrize(
    ("spoil", "exit_code"),
    [
        (None, 0),
        ("missing slice", 3),
        ("truncated file", 3),
        ("no spacing", 3),
        ("text in numbers", 3),
        ("disk full", 5),
    ],
)
def test_no_identity_leaves_but_in_the_report(
    command,
    write_study,
    spoil: str | None,
    exit_code: int,
    tmp_path: Path,
) -> None:
    tags = {**MARKERS, **INVALID} | ({"PixelSpacing": None} if spoil == "no spacing" else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of the values we want to be wrong
        folder = write_study(tmp_path / "in", tags=tags)
    if spoil == "missing slice":
        (folder / "0009").unlink()
    if spoil == "truncated file":
        (folder / "0009").write_bytes((folder / "0009").read_bytes()[:1000])
    if spoil == "text in numbers":
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes().replace(b"1.0\\1.0 ", b"CANARY\\1"))
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    watch = _NameWatch(tmp_path)
    watch.start()
    result = subprocess.run(
        [*command, "analyze", str(folder), "--out", str(out), "--debug"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TMPDIR": str(scratch), "PYTHONWARNINGS": "default"},
        preexec_fn=_limit_files if spoil == "disk full" else None,
    )
    watch.is_over.set()
    watch.join()
    assert result.returncode == exit_code, result.stderr
    assert not _leaks(result.stderr), result.stderr
    assert not _leaks(result.stdout), "the section is pasted below a header that names the patient"
    assert not [name for name in watch.names if _leaks(name)]
    assert not list(scratch.iterdir()), "nothing is left in the temporary folder"


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))
