"""The reference of all settings: `python -m ollamamax.settings_reference > docs/settings.md`."""

from __future__ import annotations

import sys

from ollamamax.env import SETTINGS, Setting

_HEAD = """# Settings

Read once at start, from the environment, by `ollamamax.env`; a start with a missing or wrong one ends with a list of all
that is wrong. `make up` generates those without a default into `OLLAMAMAX_HOME`. Made by `python -m
ollamamax.settings_reference`; a test checks that it is current.

| setting | default | meaning |
|---|---|---|
"""


def reference() -> str:
    """The page, as Markdown."""
    return _HEAD + "".join(_row(setting) for setting in SETTINGS)


def _row(setting: Setting) -> str:
    default = "must be set" if setting.default is None else f"`{setting.default}`" if setting.default else "empty"
    secret = " Secret." if setting.secret else ""
    return f"| `{setting.name}` | {default} | {setting.help.replace('|', '&#124;')}{secret} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
