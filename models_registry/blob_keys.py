"""Under which key a blob is stored: by its digest, so that equal bytes are stored once."""

from __future__ import annotations

import re

from ollamamax.blobs.staging import Incoming

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def blob_key(digest: str) -> str:
    """Raises `ValueError` for what is not a sha256 digest."""
    found = DIGEST.fullmatch(digest)
    if found is None:
        raise ValueError(f"not a sha256 digest: {digest!r}")
    return f"sha256/{found[1][:2]}/{found[1]}"


def digest_in(key: str) -> str:
    """The digest whose blob is stored under the key; empty for what is no blob's."""
    name = key.rpartition("/")[2]
    return f"sha256:{name}" if DIGEST.fullmatch(f"sha256:{name}") and blob_key(f"sha256:{name}") == key else ""


def digest_of(incoming: Incoming) -> str:
    return f"sha256:{incoming.sha256}"
