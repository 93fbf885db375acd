"""Takes secrets out of lines before they leave the node. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

HIDDEN = "***"
_SHORTEST = 6
"""Secrets that are shorter would take words out of every line."""
_NAMED = re.compile(
    r"""((?:\b|_)(?:authorization|api[_-]?key|token|password|passwd|secret|cookie)["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)([^\s"',;&}]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_KNOWN_FORMS = re.compile(r"\b(?:omx[a-z]*|sk|hf|ghp|gho|glpat|xox[abp])[-_][A-Za-z0-9_-]{8,}")


def redacted(text: str, secrets: Collection[str] = ()) -> str:
    """The line without what looks like a secret, and without ``secrets``, which are known to be some."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    text = _KNOWN_FORMS.sub(HIDDEN, text)
    text = _IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)
