"""Limits: how much a key or a tenant may ask for. ``None`` is no limit."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """``tokens_per_minute`` counts prompt and completion, and two more limits count each of them apart; ``concurrent`` counts requests that
    run or wait. ``context_tokens`` bounds a prompt and its answer together, ``output_tokens`` the answer."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
