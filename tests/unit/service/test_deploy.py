"""The files for a system's own service manager say what the program understands."""

import configparser
import json
import re
import shlex
from pathlib import Path

from calcreport.cli import _parser
from calcreport.service.service_settings import service_settings_from_text

DEPLOY = Path(__file__).parents[3] / "deploy"


def _understood(words):
    return _parser(words).parse_args(words)


def test_the_settings_are_right():
    settings = service_settings_from_text((DEPLOY / "service.toml").read_text())
    assert settings.store == "/var/lib/calcreport/store"
    assert list(settings.sinks) == ["folder"]


def test_what_is_commented_out_in_the_settings_is_right_too():
    text = re.sub(r"^# (\[|received)", r"\1", (DEPLOY / "service.toml").read_text(), flags=re.MULTILINE)
    assert service_settings_from_text(text).retention.received_days == 30


def test_the_unit_starts_the_program():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "calcreport-listen.service")
    for key, is_check in (("ExecStartPre", True), ("ExecStart", False)):
        program, *words = shlex.split(unit["Service"][key])
        assert Path(program).name == "calcreport"
        assert _understood(words).check is is_check
    assert int(unit["Service"]["TimeoutStopSec"]) > 15


def test_the_container_starts_the_program():
    text = (DEPLOY / "Dockerfile").read_text()
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1]) == ["calcreport"]
    assert not _understood(json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])).check
    health = json.loads(re.search(r"^    CMD (.*)$", text, re.MULTILINE)[1])
    assert _understood(health[1:]).health
    for path in re.findall(r"^COPY (\w\S*)", text, re.MULTILINE):
        assert (DEPLOY.parent / path).exists(), path
