"""The settings that analyses read: of the last good file, whatever becomes of it."""

from types import SimpleNamespace

import pytest

from calcreport.commands.listen import _load
from calcreport.errors import CalcReportError
from calcreport.service.worker import LoadedSettings, write_snapshot


def test_a_snapshot_is_not_the_file_of_the_site(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text("[run]\nmax_study_seconds = 60.0\n")
    loaded = _load(str(site), {})
    snapshot = write_snapshot(tmp_path, loaded)
    site.write_text("[run\n")
    assert snapshot.config.read_text() == "[run]\nmax_study_seconds = 60.0\n"
    assert snapshot.rules is None
    with pytest.raises(CalcReportError, match="TOML"):
        _load(str(site), {})


def test_without_a_file_there_is_none(tmp_path):
    snapshot = write_snapshot(tmp_path, _load(None, {}))
    assert (snapshot.config, snapshot.rules) == (None, None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[policy]\nsize_limit_mm = -1\n", "settings.invalid_value"),
        ("[detction]\n", "settings.unknown_key"),
        ("[service]\nport = 0\n", "settings.invalid_value"),
        ('[rules]\npath = "nowhere.toml"\n', "rules.missing"),
        ('[service.analysis]\nformats = "txt"\n', "usage.unknown_format"),
    ],
)
def test_the_whole_file_is_checked(tmp_path, text, code):
    """A mistake in a table that only analyses read is found by the service too."""
    site = tmp_path / "site.toml"
    site.write_text(text)
    with pytest.raises(CalcReportError) as caught:
        _load(str(site), {})
    assert caught.value.code == code


def test_a_few_snapshots_are_kept(tmp_path):
    for number in range(6):
        service = SimpleNamespace()
        last = write_snapshot(tmp_path, LoadedSettings(service=service, text=f"# {number}\n", rules={"a.toml": "x"}))
    assert last.config.read_text() == "# 5\n"
    assert (last.rules / "a.toml").read_text() == "x"
    assert len(list(tmp_path.glob("settings-*"))) == 3
