"""The page about the receiving service says what the program takes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from calcreport.service.service_settings import ServiceSettings

PAGE = (Path(__file__).parents[2] / "docs/listener.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["listen", "status", "retry"])
def test_every_option_is_described(command: str) -> None:
    words = subprocess.run(
        [sys.executable, "-m", "calcreport", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", words)) - {"--help", "--debug"}
    assert options
    assert not [option for option in sorted(options) if option not in PAGE]


@pytest.mark.parametrize("name", ServiceSettings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    kind = ServiceSettings.model_fields[name].annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        assert f"[service.{name}]" in PAGE
        assert not [key for key in kind.model_fields if f"`{key}`" not in PAGE]
    elif name not in {"sinks", "sources"}:  # described with the adapters themselves
        assert f"`{name}`" in PAGE


def test_the_defaults_are_those_of_the_program() -> None:
    settings = ServiceSettings()
    analysis, limits = settings.analysis, settings.limits
    for row in (
        f'`host`, `port` | "{settings.host}", {settings.port} |',
        f"`max_associations_per_peer` | {limits.max_associations}, {limits.max_associations_per_peer} |",
        f"`idle_seconds` | {limits.idle_seconds:g} |",
        f"`quiet_seconds`, `missing_seconds` | {settings.study.quiet_seconds:g}, {settings.study.missing_seconds:g} |",
        f"8 GiB, {analysis.cpu_seconds}, {analysis.wall_seconds:g} |",
        f"`attempts`, `retry_seconds` | {analysis.attempts}, {analysis.retry_seconds:g} |",
    ):
        assert row in PAGE
