"""Reads of the keys that sign access tokens."""

from __future__ import annotations

from ollamamax.bus.publication import Fields
from ollamamax.contract.tables import KnownSigningKey
from ollamamax.identity.models import SigningKey


def newest_signing_key() -> SigningKey | None:
    """The one that signs. One query."""
    return SigningKey.objects.order_by("-created_at", "-id").first()


def public_key_of(kid: str) -> str | None:
    """Its public half (PEM). One query."""
    return SigningKey.objects.filter(kid=kid).values_list("public", flat=True).first()


def known_signing_keys(fields: Fields = None) -> dict[str, KnownSigningKey]:
    """Those of these names whose tokens may still count. One query."""
    found = SigningKey.objects.all()
    if fields is not None:
        found = found.filter(kid__in=list(fields))
    return {kid: KnownSigningKey(public) for kid, public in found.values_list("kid", "public")}
