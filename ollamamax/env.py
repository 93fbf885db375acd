"""The one place that reads the environment: typed, documented, and failing with every problem listed at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ollamamax.env_forms import box_keys, names, networks, origins
from ollamamax.env_table import METRICS, SETTINGS, Setting

__all__ = [
    "METRICS",
    "SETTINGS",
    "Environment",
    "EnvironmentInvalid",
    "Setting",
    "ShownSetting",
    "given",
    "read",
    "shown",
]


class EnvironmentInvalid(Exception):
    """Raised at start; its text lists every setting that is missing or wrong."""


@dataclass(frozen=True)
class Environment:
    """Every setting, parsed; see `SETTINGS` for what each means."""

    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def read(
    environ: Mapping[str, str] = os.environ, *, without: Collection[str] = (), only: Collection[str] | None = None
) -> Environment:
    """Parse ``environ``. Raises `EnvironmentInvalid` naming every setting that is missing or wrong.

    Those in ``without`` are not read, for a process that is not to know them; with ``only`` no others than these are.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for setting in SETTINGS:
        if setting.name in without or (only is not None and setting.name not in only):
            continue
        text = environ.get(setting.name, setting.default)
        if text is None:
            problems.append(f"{setting.name} is not set. {setting.help}")
            continue
        if text == "" and setting.default == "":
            values[setting.name] = (
                setting.parse("") if setting.parse in (names, networks, origins, box_keys, str) else ""
            )
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            shown = "" if setting.secret else f" (it is {text!r})"
            problems.append(f"{setting.name} {error}{shown}.")
    problems += _contradictions(values)
    if problems:
        raise EnvironmentInvalid("The settings are not usable:\n" + "\n".join(f"  - {p}" for p in problems))
    return Environment(values)


def given(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The settings that are set, as they were written, secrets too."""
    return {setting.name: environ[setting.name] for setting in SETTINGS if environ.get(setting.name)}


@dataclass(frozen=True)
class ShownSetting:
    """One setting as a person may see it: ``value`` is ``None`` where it is secret, ``source`` says where it comes from."""

    name: str
    value: str | None
    default: str | None
    source: str
    help: str


def shown(environ: Mapping[str, str] = os.environ) -> list[ShownSetting]:
    """Every setting, with neither the value nor the default of a secret."""
    return [
        ShownSetting(
            setting.name,
            None if setting.secret else environ.get(setting.name, setting.default or ""),
            None if setting.secret else setting.default,
            "environment" if setting.name in environ else "default",
            setting.help,
        )
        for setting in SETTINGS
    ]


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if bool(values.get("OLLAMAMAX_TLS_CERT")) != bool(values.get("OLLAMAMAX_TLS_KEY")):
        problems.append("OLLAMAMAX_TLS_CERT and OLLAMAMAX_TLS_KEY must be set together.")
    if values.get("OLLAMAMAX_GATEWAY_PORT") and values["OLLAMAMAX_GATEWAY_PORT"] == values.get("PORT"):
        problems.append("OLLAMAMAX_GATEWAY_PORT is the web process's PORT: choose another one.")
    if values.get("OLLAMAMAX_GATEWAYS", 1) > 1 and values.get("OLLAMAMAX_ASGI_SERVER") == "daphne":
        problems.append(
            "OLLAMAMAX_GATEWAYS is more than 1 and daphne cannot share a port: choose another OLLAMAMAX_ASGI_SERVER."
        )
    metrics = values.get("OLLAMAMAX_METRICS_ADDRESS")
    if metrics and not _is_loopback(metrics[0]) and not values.get("OLLAMAMAX_METRICS_TOKEN"):
        problems.append(
            f"OLLAMAMAX_METRICS_ADDRESS is {metrics[0]!r}, which others can reach: set OLLAMAMAX_METRICS_TOKEN, too."
        )
    problems += _mail_problems(values)
    problems += _bucket_problems(values)
    host = values.get("HOST", "127.0.0.1")
    if not _is_loopback(host) and not values.get("OLLAMAMAX_TLS_PROXY") and not values.get("OLLAMAMAX_TLS_CERT"):
        problems.append(
            f"HOST is {host!r}, which others can reach, and nothing provides TLS: set OLLAMAMAX_TLS_CERT and "
            "OLLAMAMAX_TLS_KEY, or OLLAMAMAX_TLS_PROXY=1 when a TLS proxy stands in front."
        )
    return problems


def _mail_problems(values: Mapping[str, Any]) -> list[str]:
    if not values.get("OLLAMAMAX_SMTP_HOST"):
        return []
    problems = []
    if "@" not in values.get("OLLAMAMAX_SMTP_FROM", ""):
        problems.append("OLLAMAMAX_SMTP_FROM must be an address, as OLLAMAMAX_SMTP_HOST is set.")
    unsafe = values.get("OLLAMAMAX_SMTP_TLS") == "none" and not _is_loopback(values["OLLAMAMAX_SMTP_HOST"])
    if values.get("OLLAMAMAX_SMTP_USER") and unsafe:
        problems.append("OLLAMAMAX_SMTP_TLS is none: OLLAMAMAX_SMTP_USER's password would be sent for all to read.")
    file = values.get("OLLAMAMAX_SMTP_PASSWORD_FILE")
    if file and not os.access(file, os.R_OK):
        problems.append(f"OLLAMAMAX_SMTP_PASSWORD_FILE is {file!r}, which cannot be read.")
    return problems


def _bucket_problems(values: Mapping[str, Any]) -> list[str]:
    if not values.get("OLLAMAMAX_BLOB_STORE") and not values.get("OLLAMAMAX_AUDIT_HEADS_STORE"):
        return []
    problems = []
    if bool(values["OLLAMAMAX_S3_ACCESS_KEY_ID"]) != bool(values["OLLAMAMAX_S3_SECRET_ACCESS_KEY"]):
        problems.append("OLLAMAMAX_S3_ACCESS_KEY_ID and OLLAMAMAX_S3_SECRET_ACCESS_KEY must be set together.")
    endpoint = urlsplit(values["OLLAMAMAX_S3_ENDPOINT"])
    if endpoint.scheme == "http" and not _is_loopback(endpoint.hostname or ""):
        problems.append("OLLAMAMAX_S3_ENDPOINT leaves this machine without TLS: name one that begins with https://.")
    file = values["OLLAMAMAX_S3_CA"]
    if file and not os.access(file, os.R_OK):
        problems.append(f"OLLAMAMAX_S3_CA is {file!r}, which cannot be read.")
    return problems


def _is_loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
