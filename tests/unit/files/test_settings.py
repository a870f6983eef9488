import pytest

from calcreport.errors import SettingsError
from calcreport.files.settings import settings_from_text
from calcreport.settings import Settings


def test_an_empty_file_gives_the_defaults() -> None:
    assert settings_from_text("") == Settings()


def test_what_is_written_replaces_the_default_and_nothing_else() -> None:
    settings = settings_from_text("[detection]\nmin_volume_mm3 = 0\n[policy]\nstrict_s1 = true\n")
    assert settings.detection.min_volume_mm3 == 0.0, "zero is a value, not a missing one"
    assert settings.policy.strict_s1
    assert settings.reading == Settings().reading
    assert settings.detection.model_copy(update={"min_volume_mm3": 2.0}) == Settings().detection


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[detection]\nmin_volume_mm = 1\n", "settings.unknown_key", ["detection.min_volume_mm", "min_volume_mm3"]),
        ("[detecton]\nseed_hu = 1\n", "settings.unknown_key", ["detecton", "detection"]),
        ("[policy]\nxyzzy = 1\n", "settings.unknown_key", ["policy.xyzzy", "known:", "size_limit_mm"]),
        ("[policy]\nsize_limit_mm = '50'\n", "settings.invalid_value", ["policy.size_limit_mm"]),
        ("[policy]\nsize_limit_mm = 0\n", "settings.invalid_value", ["policy.size_limit_mm"]),
        ("[policy]\nsize_limit_mm = true\n", "settings.invalid_value", ["policy.size_limit_mm"]),
        ("[policy]\nsize_limit_mm = nan\n", "settings.invalid_value", ["policy.size_limit_mm", "finite"]),
        ("[policy]\nsize_limit_mm = inf\n", "settings.invalid_value", ["policy.size_limit_mm", "finite"]),
        ("[policy]\nsize_limit_mm = 40\n", "settings.invalid_value", ["size_limit_mm (40)", "size_possible_mm (45)"]),
        ("[detection]\ngrow_hu = 200\nseed_hu = 100\n", "settings.invalid_value", ["detection.seed_hu (100)"]),
        ("policy = 5\n", "settings.invalid_value", ["policy"]),
        ("[policy\n", "settings.syntax", ["line 1"]),
        ("a = " + "9" * 5000, "settings.syntax", ["digits"]),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, code: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text(text)
    assert caught.value.code == code
    for word in words:
        assert word in caught.value.message


def test_every_unknown_key_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text("[detection]\nseeds_hu = 1\n[policy]\nstrict = true\n")
    assert "seeds_hu" in caught.value.message
    assert "strict" in caught.value.message


def test_a_file_of_nested_brackets_is_a_mistake_and_not_a_crash() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from_text("a = " + "[" * 100_000)
    assert caught.value.code == "settings.syntax"


@pytest.mark.parametrize("table", list(Settings.model_fields))
def test_the_schema_tells_the_reason_of_every_setting(table: str) -> None:
    """Every default has a reason, and a site reads it where it looks the setting up."""
    schema = Settings.model_json_schema()
    name = schema["properties"][table]["$ref"].rpartition("/")[2]
    for key, field in schema["$defs"][name]["properties"].items():
        assert len(field["description"].split()) >= 4, f"{table}.{key}"
        assert "default" in field
