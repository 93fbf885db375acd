"""Limits: how much a key or a tenant may ask for. ``None`` is no limit."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """``tokens_per_minute`` counts prompt and completion; ``concurrent`` counts requests that run or wait."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
