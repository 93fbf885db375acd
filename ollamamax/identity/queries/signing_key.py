"""Reads of the keys that sign access tokens and ID tokens."""

from __future__ import annotations

from ollamamax.bus.publication import Fields
from ollamamax.contract.tables import KnownSigningKey
from ollamamax.identity.access_tokens import ALGORITHM
from ollamamax.identity.models import SigningKey


def newest_signing_key(algorithm: str = ALGORITHM) -> SigningKey | None:
    """The one that signs by this algorithm. One query."""
    return SigningKey.objects.filter(algorithm=algorithm).order_by("-created_at", "-id").first()


def public_key_of(kid: str) -> str | None:
    """Its public half (PEM). One query."""
    return SigningKey.objects.filter(kid=kid).values_list("public", flat=True).first()


def shown_signing_keys() -> dict[str, str]:
    """The public halves (PEM) of all whose tokens may still count, by their names. One query."""
    return dict(SigningKey.objects.order_by("-created_at", "-id").values_list("kid", "public"))


def known_signing_keys(fields: Fields = None) -> dict[str, KnownSigningKey]:
    """Those of these names that sign access tokens which may still count. One query."""
    found = SigningKey.objects.filter(algorithm=ALGORITHM)
    if fields is not None:
        found = found.filter(kid__in=list(fields))
    return {kid: KnownSigningKey(public) for kid, public in found.values_list("kid", "public")}
