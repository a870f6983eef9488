from pathlib import Path

import pytest

from calcreport.errors import TemplateError
from calcreport.resources import rule_texts, site_template_texts, template_texts


def test_the_built_in_templates_are_found() -> None:
    assert "statements.toml" in template_texts()


def test_a_site_brings_templates_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "statements.toml").write_text("own = 'é'\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a template", encoding="utf-8")
    assert site_template_texts(tmp_path) == {"statements.toml": "own = 'é'\n"}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("statement.toml", b"", "template.unknown_name"),
        ("notes.md", b"", "template.unknown_name"),
        ("statements.toml", b"\xff\xfe", "template.unreadable"),
        ("statements.toml", b"#" * 1_000_001, "template.unreadable"),
    ],
)
def test_a_folder_that_cannot_serve_is_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TemplateError) as caught:
        site_template_texts(tmp_path)
    assert caught.value.code == code
    assert str(tmp_path) not in caught.value.message


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError) as caught:
        site_template_texts(tmp_path / "nowhere")
    assert caught.value.code == "template.folder_missing"


def test_a_misspelt_name_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "statement.toml").write_text("", encoding="utf-8")
    with pytest.raises(TemplateError, match=r"did you mean statements\.toml"):
        site_template_texts(tmp_path)


def test_rule_tables_come_in_order_of_name() -> None:
    names = list(rule_texts())
    assert names == sorted(names)
    assert all(name.endswith(".toml") for name in names)
