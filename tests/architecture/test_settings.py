"""The reference of settings is complete and current."""

from __future__ import annotations

from ollamamax.env import SETTINGS, read
from ollamamax.settings_reference import reference
from tests.architecture.code import ROOT


def test_the_reference_says_what_the_code_says() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == reference(), "run: python -m ollamamax.settings_reference > docs/settings.md"
    for setting in SETTINGS:
        assert f"| `{setting.name}` |" in page
        assert setting.help in page


def test_no_secret_has_a_default() -> None:
    for setting in SETTINGS:
        if setting.secret:
            assert not setting.default


def test_every_default_is_a_value_that_the_reader_takes() -> None:
    given = {
        "OLLAMAMAX_SECRET_KEY": "x" * 50,
        "DATABASE_URL": "postgresql://u@h/d",
        "REDIS_URL": "redis://h",
    }
    values = read(given).values
    assert values.keys() == {setting.name for setting in SETTINGS}
