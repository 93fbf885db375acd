"""A support bundle: what somebody else needs to see of an installation, and none of its secrets. Knows no Django."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cluster.worker.redaction import HIDDEN, redacted
from ollamamax import env
from ollamamax.bus import sentinels

MOST_LOG_BYTES = 1 << 20
"""So much of each log's end."""
_KEYS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_AGE = re.compile(r"AGE-SECRET-KEY-[A-Z0-9-]+", re.IGNORECASE)
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*")
_IN_JSON_IN_JSON = re.compile(
    r"""((?:authorization|api[_-]?key|token|passw(?:or)?d|secret|cookie)\\+["']\s*:\s*\\+["'])([^"'\\]+)""",
    re.IGNORECASE,
)
_WITH_SECRETS = ("secrets.json", "bootstrap.json", "run/settings.json", "node-*/identity.json")


def secrets_of(home: Path, settings: Mapping[str, str]) -> set[str]:
    """Every text that is a secret here: of the settings, and of the files that hold some."""
    secret = {setting.name for setting in env.SETTINGS if setting.secret}
    found: set[str] = set()
    for name, value in settings.items():
        if name in secret:
            parts = [each for part in value.split(",") for each in (part, part.partition("=")[2])]
            found |= {value, *parts}
            for part in parts:
                found |= _passwords(part)
        found |= _passwords(value)
    for pattern in _WITH_SECRETS:
        for file in home.glob(pattern):
            for text in _texts(_read(file)):
                found |= _passwords(text)
                if "://" not in text and "@" not in text:
                    found.add(text)
    for name in ("OLLAMAMAX_SMTP_PASSWORD_FILE", "OLLAMAMAX_TLS_KEY"):
        if settings.get(name):
            found.add(_text(Path(settings[name])).strip())
    found.add(_text(home / "audit" / "key").strip())
    return {each for each in found if len(each) >= 6}


def clean(value: Any, secrets: set[str]) -> Any:
    """The same without secrets, whatever it is made of."""
    if isinstance(value, str):
        return _clean_text(value, secrets)
    if isinstance(value, Mapping):
        return {_clean_text(str(name), secrets): clean(each, secrets) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean(each, secrets) for each in value]
    return value


def _clean_text(text: str, secrets: set[str]) -> str:
    # The longest first, or a secret that holds another one would keep its ends.
    text = _KEYS.sub(HIDDEN, text)
    text = redacted(text, sorted(secrets | {json.dumps(each)[1:-1] for each in secrets}, key=len, reverse=True))
    text = _IN_JSON_IN_JSON.sub(rf"\1{HIDDEN}", text)
    return _MAIL.sub(HIDDEN, _JWT.sub(HIDDEN, _AGE.sub(HIDDEN, text)))


def write(file: Path, parts: Mapping[str, Any], home: Path, settings: Mapping[str, str]) -> None:
    """A tar.gz for its owner only, with each part as JSON, and the ends of the logs. Raises `FileExistsError`."""
    secrets = secrets_of(home, settings)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, part in parts.items():
            _add(tar, f"{name}.json", json.dumps(clean(part, secrets), indent=2, default=str))
        for log in sorted((home / "logs").glob("*.log")):
            _add(tar, f"logs/{log.name}", _clean_text(_end(log), secrets))


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode(errors="replace")
    member = tarfile.TarInfo(f"ollamamax-support/{name}")
    member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
    tar.addfile(member, io.BytesIO(data))


def _end(log: Path) -> str:
    """Whole lines, or the rest of a secret might stand at the beginning."""
    with log.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MOST_LOG_BYTES))
        if size > MOST_LOG_BYTES:
            stream.readline()
        return stream.read().decode(errors="replace")


def _passwords(text: str) -> set[str]:
    """Of an address: as they stand there, and without escapes."""
    found = sentinels.passwords(text)
    return found | {unquote(each) for each in found}


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _read(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except ValueError:
        return None


def _texts(value: Any) -> Iterator[str]:
    """Every text in it that has no blank and is longer than a name: keys, passwords and addresses."""
    if isinstance(value, str):
        if len(value) >= 16 or "://" in value:
            yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
