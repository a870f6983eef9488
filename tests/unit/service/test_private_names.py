"""A pynetdicom without what the service relies on is refused by name before anything is received."""

import sys

import pynetdicom.dimse_messages
import pytest
from pynetdicom import _config
from pynetdicom.transport import RequestHandler

from calcreport.cli import main
from calcreport.errors import ConfigurationError
from calcreport.service.private_names import NAMES, require_private_names


def test_the_installed_one_has_them_all() -> None:
    require_private_names()
    assert len(NAMES) == len(set(NAMES)) > 15


@pytest.mark.parametrize(
    ("owner", "attribute", "named"),
    [
        (RequestHandler, "_create_association", "transport:RequestHandler._create_association"),
        (_config, "LOG_REQUEST_IDENTIFIERS", "_config:LOG_REQUEST_IDENTIFIERS"),
        (pynetdicom.dimse_messages, "DIMSEMessage", "dimse_messages:DIMSEMessage.decode_msg > NamedTemporaryFile"),
    ],
)
def test_one_that_is_missing_is_named_with_the_remedy(owner, attribute, named, monkeypatch) -> None:
    monkeypatch.delattr(owner, attribute)
    with pytest.raises(ConfigurationError, match="pip install 'pynetdicom>=") as refused:
        require_private_names()
    assert refused.value.code == "service.pynetdicom"
    assert named in refused.value.message


def test_a_name_that_is_there_but_no_longer_used_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(pynetdicom.dimse_messages.DIMSEMessage, "decode_msg", lambda _self, _primitive: True)
    with pytest.raises(ConfigurationError, match=r"decode_msg > NamedTemporaryFile"):
        require_private_names()


def test_a_module_that_is_gone_is_no_traceback(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom.dul", None)
    with pytest.raises(ConfigurationError, match=r"dul:DULServiceProvider"):
        require_private_names()


def test_a_check_of_the_service_names_it(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.delattr(RequestHandler, "_create_association")
    assert main(["listen", "--check", "--store", str(tmp_path)]) == 2
    assert "error [service.pynetdicom]" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
