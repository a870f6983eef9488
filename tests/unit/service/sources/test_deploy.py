"""The files under ``deploy/`` are what those they are for can read, and what the program takes."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from calcreport.commands.hook import _CHANNELS, HookSettings, for_mercure, result_of
from calcreport.dicom.header.image_header import MAKER
from calcreport.files.settings import checked_tables
from calcreport.model.terms import Concern
from calcreport.service.adapter_settings import SinkSettings, SourceSettings
from calcreport.service.service_settings import service_settings_from_text
from calcreport.study.result import Counts, StudyOutcome

DEPLOY = Path(__file__).parents[4] / "deploy"


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.toml")), ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_settings_are_taken(path) -> None:
    text = path.read_text()
    service_settings_from_text(text)
    # what is commented out is an alternative that holds too
    whole = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    tables = re.split(r"^(?=\[service\.sinks\.archive\])", whole, flags=re.MULTILINE)
    for table in tables[1:]:
        service_settings_from_text(table)
    tomllib.loads(tables[0])


def test_mercures_module_asks_for_what_the_hook_knows() -> None:
    definition = json.loads((DEPLOY / "mercure/module.json").read_text())
    module, rule = definition["modules"]["calcreport"], definition["rules"]["calcreport"]
    checked_tables(module["settings"]["calcreport"], HookSettings)
    assert rule["processing_module"] == ["calcreport"]
    for modality, maker, is_taken in (
        ("CT", "Siemens", True),
        ("DX", "", True),
        ("SR", "x", False),
        ("CT", MAKER, False),
    ):
        tags = type("Tags", (), {"Modality": modality, "Manufacturer": maker})
        assert eval(rule["rule"], {"tags": tags}) is is_taken  # noqa: S307 - the file is ours, and a Python expression


@pytest.mark.parametrize("name", ["app.json", "pkg.json"])
def test_monais_manifests_are_json_and_run_the_hook(name) -> None:
    manifest = json.loads((DEPLOY / "monai" / name).read_text())
    assert manifest.get("command", ["calcreport", "hook"]) == ["calcreport", "hook"]


def test_the_export_rule_is_ldif_whose_parts_refer_to_each_other() -> None:
    text = (DEPLOY / "dcm4chee/export-rule.ldif").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    records = [dict(re.findall(r"^(\S+): (.*)$", part, re.MULTILINE)) for part in re.split(r"\n{2,}", text)]
    by_class = {record["objectClass"]: record for record in records if "objectClass" in record}
    assert by_class["dcmExportRule"]["dcmExporterID"] == by_class["dcmExporter"]["dcmExporterID"]
    assert by_class["dcmExporter"]["dcmURI"] == f"dicom:{by_class['dicomNetworkAE']['dicomAETitle']}"
    assert f"Manufacturer!={MAKER}" in text
    for record in records:
        if "dn" in record:
            name, value = record["dn"].split(",")[0].split("=")
            assert record[name] == value


def test_the_callbacks_know_our_maker() -> None:
    for name in ("calcreport.lua", "calcreport.py"):
        assert f"'{MAKER}'" in (text := (DEPLOY / "orthanc" / name).read_text().replace('"', "'")), text
    compile((DEPLOY / "orthanc/calcreport.py").read_text(), "calcreport.py", "exec")


def test_the_container_stands_on_an_exact_version_and_gets_what_the_build_needs() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    assert {name.split()[0] for name in re.findall(r"^FROM (.*)$", text, re.MULTILINE)} == {"${BASE}"}
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    assert copied >= {"hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "requirements", "src", "templates"}
    assert all((DEPLOY.parent / name).exists() for name in copied)


def test_kaapanas_container_has_the_fields_of_its_schema() -> None:
    container = json.loads((DEPLOY / "kaapana/processing-container.json").read_text())
    assert set(container) == {"name", "description", "templates"}
    (template,) = container["templates"]
    assert set(template) == {"identifier", "description", "inputs", "outputs", "env", "command", "resources"}
    mounts = [template["inputs"][0]["mounted_path"], template["outputs"][0]["mounted_path"]]
    assert {item["name"]: item["value"] for item in template["env"]} == dict(zip(_CHANNELS, mounts, strict=True))
    assert "COPY processing-container.json /processing-container.json" in (DEPLOY / "kaapana/Dockerfile").read_text()


def test_the_unit_is_one_that_systemd_understands(tmp_path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze: no systemd here")
    unit = tmp_path / "calcreport-listen.service"
    text = (DEPLOY / "calcreport-listen.service").read_text()
    unit.write_text(re.sub(r"(?<=Exec)(\w+)=\S+", r"\1=/bin/true", text))
    done = subprocess.run([tool, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert unit.name not in done.stderr, done.stderr


def test_every_key_of_an_adapter_and_of_the_hook_is_in_the_runbook() -> None:
    page = (DEPLOY.parent / "docs/runbook.md").read_text()
    kinds = (*get_args(get_args(SourceSettings)[0]), *get_args(get_args(SinkSettings)[0]), HookSettings)
    assert len(kinds) == 10
    assert not [name for kind in kinds for name in kind.model_fields if f"`{name}`" not in page and name != "kind"]


def test_the_examples_of_the_runbook_are_taken() -> None:
    page = (DEPLOY.parent / "docs/runbook.md").read_text()
    for text in re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL):
        service_settings_from_text(text)
    (result,) = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL))
    outcome = StudyOutcome(folder="", status="reported", concern=Concern.FLAGGED, counts=Counts(lesions=1, images=48))
    made = result_of([outcome]) | for_mercure([outcome], HookSettings())
    assert result.keys() <= made.keys()
    assert result["studies"][0].keys() == made["studies"][0].keys()
    assert result["__mercure_notification"] == made["__mercure_notification"]
