"""Tokens that stand in a link of an invitation or a letter: whoever has one is let in once. Only the hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

MOST_TOKEN = 100


class LinkToken(NamedTuple):
    text: str
    hash: str


def new_token() -> LinkToken:
    text = secrets.token_urlsafe(32)
    return LinkToken(text, hash_of(text))


def hash_of(text: str) -> str:
    """SHA-256, which is enough for 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
