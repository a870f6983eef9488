"""The files for a system's own service manager say what the program understands."""

import configparser
import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NoNewPrivileges", "yes"), ("CapabilityBoundingSet", ""), ("ProtectSystem", "strict"), ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"), ("PrivateDevices", "yes"), ("ProtectProc", "invisible"), ("ProcSubset", "pid"),
        ("ProtectHostname", "yes"), ("ProtectClock", "yes"), ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"), ("ProtectKernelLogs", "yes"), ("ProtectControlGroups", "yes"),
        ("RestrictNamespaces", "yes"), ("RestrictRealtime", "yes"), ("RestrictSUIDSGID", "yes"),
        ("LockPersonality", "yes"), ("SystemCallArchitectures", "native"), ("SystemCallFilter", "@system-service"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"), ("UMask", "0077"), ("Type", "notify"),
    ],
)  # fmt: skip
def test_the_unit_shuts_the_service_in(key, value):
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(DEPLOY / "calcreport-listen.service")
    assert unit["Service"][key] == value
    assert int(unit["Service"]["WatchdogSec"]) > 30, "a tick may wait for a slow disk"


def test_mercure_gives_the_module_no_network():
    module = json.loads((DEPLOY / "mercure/module.json").read_text())["modules"]["calcreport"]
    assert module["network_enabled"] is False


def test_the_container_starts_the_program():
    text = (DEPLOY / "Dockerfile").read_text()
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1]) == ["calcreport"]
    assert not _understood(json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])).check
    health = json.loads(re.search(r"^    CMD (.*)$", text, re.MULTILINE)[1])
    assert _understood(health[1:]).health
    assert not _understood(health[1:]).config, "a mistake in the settings would make a container that runs unhealthy"
    assert _understood(health[1:]).store == service_settings_from_text((DEPLOY / "service.toml").read_text()).store
    for path in re.findall(r"^COPY (\w\S*)", text, re.MULTILINE):
        assert (DEPLOY.parent / path).exists(), path


COMPOSE = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
KEYS = {
    "build", "image", "restart", "stop_grace_period", "environment", "volumes", "depends_on", "read_only", "tmpfs",
    "cap_drop", "security_opt", "ports", "healthcheck", "command", "deploy", "mem_limit",
}  # fmt: skip
"""Of a service, in the Compose specification, as far as ours use them."""


def test_the_compose_file_names_what_is_there():
    assert set(COMPOSE) == {"name", "x-calcreport", "services", "volumes"}
    for service in COMPOSE["services"].values():
        assert service.keys() <= KEYS
        for volume in service["volumes"]:
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).is_file()
                assert mode == ["ro"]
            else:
                assert source in COMPOSE["volumes"]
        for other, how in service.get("depends_on", {}).items():
            assert COMPOSE["services"][other]["healthcheck"]["test"]
            assert how == {"condition": "service_healthy"}


def test_the_compose_file_starts_a_listener_and_two_workers_on_one_store():
    listener, worker = COMPOSE["services"]["listener"], COMPOSE["services"]["worker"]
    for service, command in ((listener, "listen"), (worker, "worker")):
        assert service["command"][0] == command
        assert not _understood(service["command"]).check
        assert (DEPLOY / "compose" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert worker["deploy"]["replicas"] == 2
    assert worker["volumes"] == listener["volumes"]
    settings = service_settings_from_text((DEPLOY / "compose/service.toml").read_text())
    assert settings.store.startswith(listener["volumes"][0].partition(":")[2])
    named = conninfo_to_dict(settings.workers.database)
    assert named["host"] in COMPOSE["services"]
    assert named["user"] == COMPOSE["services"]["database"]["environment"]["POSTGRES_USER"]
    assert named["dbname"] == named["user"], "the image makes one database, named as its user"
    for item in (*settings.sources.values(), *settings.sinks.values()):
        address = urlsplit(item.url)
        orthanc = json.loads((DEPLOY / "compose/orthanc.json").read_text())
        assert (address.hostname, address.port) == ("orthanc", orthanc["HttpPort"])


def test_images_of_others_are_named_with_a_version():
    for name in ("orthanc", "database"):
        assert re.search(r":\$\{|:\?", COMPOSE["services"][name]["image"])
