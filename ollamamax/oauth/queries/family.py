"""Reads of families of tokens."""

from __future__ import annotations

import uuid

from ollamamax.identity.scope import every_tenant
from ollamamax.oauth.models import TokenFamily


def find_family(family_id: uuid.UUID) -> TokenFamily | None:
    """One that is not revoked, of whatever tenant: it is known by a token that was signed here. One query."""
    with every_tenant():
        return TokenFamily.objects.filter(pk=family_id, revoked_at=None).first()
