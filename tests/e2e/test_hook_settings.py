"""Sources and sinks as ``calcreport listen --check`` sees them: a mistake shows now, and not at the first study."""

from __future__ import annotations

import socket

import pytest

GOOD = """
[service]
port = {port}
[service.sources.orthanc]
kind = "orthanc"
url = "http://127.0.0.1:8042"
user = "hook"
password_file = "{secret}"
[service.sources.archive]
kind = "dicomweb"
url = "https://archive.example/rs"
token_file = "{secret}"
[service.sources.drop]
kind = "folder"
path = "{folder}"
[service.sinks.orthanc]
kind = "orthanc"
url = "http://127.0.0.1:8042"
[service.sinks.archive]
kind = "dicom"
host = "archive.example"
port = 104
called_aet = "PACS"
is_encrypted = true
[service.sinks.stow]
kind = "dicomweb"
url = "https://archive.example/rs"
objects = ["sr", "seg"]
"""


@pytest.fixture
def check(run, tmp_path):
    """``check(change=…)`` checks settings with one text in them replaced by another."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def start(old: str = "", new: str = ""):
        secret = tmp_path / "secret"
        secret.write_text("a secret word\n")
        text = GOOD.format(port=port, secret=secret, folder=tmp_path)
        assert old in text
        (tmp_path / "settings.toml").write_text(text.replace(old, new, 1) if old else text)
        return run("listen", "--check", "--config", tmp_path / "settings.toml", "--store", tmp_path / "store")

    return start


def test_adapters_are_named_and_nobody_is_asked(check) -> None:
    done = check()
    assert done.returncode == 0, done.stderr
    assert "sources beside the network: orthanc, archive, drop" in done.stdout
    assert "sinks: orthanc, archive, stow" in done.stdout
    assert "a secret word" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "orthanc"', 'kind = "ortanc"', "settings.invalid_value"),
        ('user = "hook"', 'usr = "hook"', "settings.invalid_value"),
        ('/secret"', '/missing"', "settings.secret"),
        ("is_encrypted = true", 'is_encrypted = true\nauthority = "missing.pem"', "settings.tls"),
        ('objects = ["sr", "seg"]', 'objects = ["ct"]', "settings.invalid_value"),
        ("http://127.0.0.1:8042", "http://hook:secret@127.0.0.1:8042", "settings.invalid_value"),
        ("[service.sources.drop]", '[service.sources."Patient 1"]', "settings.invalid_value"),
    ],
)
def test_a_mistake_in_an_adapter_is_named(check, old, new, told) -> None:
    done = check(old, new)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    assert "secret@" not in done.stderr
