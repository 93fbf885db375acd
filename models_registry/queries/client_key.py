"""Whose the public key of an Ollama is."""

from __future__ import annotations

from models_registry.models import ClientKey
from ollamamax.identity.scope import every_tenant


def identifier_of(public_key: str) -> str:
    """The public identifier of the API key that it stands for; empty for one that nobody registered. One query."""
    with every_tenant():
        found = ClientKey.objects.filter(public_key=public_key).values_list("key__identifier", flat=True).first()
    return found or ""
