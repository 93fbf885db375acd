"""Names of the Channels groups: one for each tenant's live page."""

from __future__ import annotations


def live(tenant: str) -> str:
    """The group that gets the frames of ``tenant`` (UUID as hex)."""
    return f"live.{tenant}"
