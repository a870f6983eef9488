import pytest

from calcreport.errors import SettingsError
from calcreport.files.settings import settings_from_text
from calcreport.service.service import tls_context
from calcreport.service.service_settings import ServiceSettings, TlsSettings, service_settings_from_text


def test_defaults_let_in_this_machine_only():
    settings = service_settings_from_text("")
    assert settings == ServiceSettings()
    assert settings.host == "127.0.0.1"
    assert settings.peers.addresses == ("127.0.0.0/8", "::1/128")
    assert settings.retention.received_days is None


def test_one_file_serves_the_service_and_the_analysis():
    text = '[policy]\nsize_limit_mm = 60\n[service]\naet = "HERE"\n[service.study]\nquiet_seconds = 5\n'
    assert service_settings_from_text(text).study.quiet_seconds == 5
    assert settings_from_text(text).policy.size_limit_mm == 60


def test_the_command_line_overrides_the_file():
    text = "[service]\nport = 1000\n[service.study]\nquiet_seconds = 5\n"
    settings = service_settings_from_text(text, {"port": 2000, "study": {"quiet_seconds": 7.5}, "aet": None})
    assert (settings.port, settings.study.quiet_seconds, settings.aet) == (2000, 7.5, "CALCREPORT")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[service]\nprot = 1", "port"),
        ("[service.limits]\nidle_second = 1", "idle_seconds"),
        ("[service]\nport = 0", "service.port"),
        ('[service]\nport = "11112"', "service.port"),
        ('[service]\naet = "SEVENTEEN_LETTERS"', "service.aet"),
        ('[service]\naet = "A\\\\B"', "service.aet"),
        ('[service]\nhost = "pacs.example"', "service.host"),
        ('[service.peers]\naddresses = ["10.0.0.0/33"]', "service.peers.addresses"),
        ('[service.peers]\ncalling = [""]', "service.peers.calling"),
        ("[service.study]\nquiet_seconds = 0", "quiet_seconds"),
        ("[service.study]\nquiet_seconds = inf", "quiet_seconds"),
        ("[service.limits]\nmax_associations = 100000", "max_associations"),
        ("service = 1", "service"),
        ("[service", "TOML"),
        ("[service.peers]\ncalling = 1979-05-27", "calling"),
    ],
)
def test_a_mistake_is_named(text, word):
    with pytest.raises(SettingsError, match=word):
        service_settings_from_text(text)


def test_who_may_send_has_to_be_said_when_others_can_reach_the_port():
    with pytest.raises(SettingsError, match="addresses"):
        service_settings_from_text('[service]\nhost = "0.0.0.0"')
    service_settings_from_text('[service]\nhost = "0.0.0.0"\n[service.peers]\naddresses = ["10.1.0.0/16"]')


def test_a_table_in_the_way_of_the_command_line_is_named():
    with pytest.raises(SettingsError, match=r"service\.study"):
        service_settings_from_text("[service]\nstudy = 5", {"study": {"quiet_seconds": 1.0}})


def test_tls_needs_files_that_are_there(tmp_path):
    assert tls_context(TlsSettings()) is None
    with pytest.raises(SettingsError) as caught:
        tls_context(TlsSettings(certificate=str(tmp_path / "none.pem")))
    assert caught.value.code == "settings.tls"
    assert str(tmp_path) not in caught.value.message
    with pytest.raises(SettingsError, match="certificate"):
        service_settings_from_text('[service.tls]\nkey = "key.pem"')
