"""Manifests: the one canonical text of a version, whose sha256 is its name. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from ollamamax.kernel import errors

GGUF = "application/vnd.ollamamax.model.gguf"
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._/-]{0,199})(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?$")


def hosted(name: str, config: dict[str, Any], digest: str, size: int) -> dict[str, Any]:
    """The manifest of weights that lie in one GGUF blob."""
    return {
        "schema": 1,
        "name": name,
        "config": config,
        "layers": [{"digest": digest, "size": size, "media_type": GGUF}],
    }


def digest_of(manifest: dict[str, Any]) -> str:
    """``sha256:`` of the canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def split_name(full: str) -> tuple[str, str]:
    """Model and channel of ``name`` or ``name:tag``; the tag is ``latest`` when none is given."""
    found = _NAME.match(full)
    if found is None:
        raise errors.InvalidRequest(
            f"'{full}' is not a model name: letters, digits and . _ / -, then perhaps a colon and a tag.", param="name"
        )
    return found[1], found[2] or "latest"
