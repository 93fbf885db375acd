"""What a request of OpenAI's protocol says of itself besides what it asks: whom it is for, what is noted with it, what it begins like."""

from __future__ import annotations

from typing import Any

import msgspec

from ollamamax.gateway.asked import Notes

MOST_CACHE_KEY = 1024


class Named(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``user`` is noted in the request's record; ``safety_identifier`` is OpenAI's newer word for it."""

    user: Any = None
    safety_identifier: Any = None


class Noted(Named, kw_only=True, forbid_unknown_fields=True):
    """``metadata`` is noted, too; requests with the same ``prompt_cache_key`` are at home on the same node."""

    metadata: Any = None
    prompt_cache_key: Any = None


def note(notes: Notes, model: str, body: Named) -> str:
    """Take over what the body says of itself. Returns its affinity."""
    metadata = body.metadata if isinstance(body, Noted) else None
    notes.take(model, body.safety_identifier if body.user is None else body.user, metadata)
    key = body.prompt_cache_key if isinstance(body, Noted) else None
    return key[:MOST_CACHE_KEY] if isinstance(key, str) else ""
