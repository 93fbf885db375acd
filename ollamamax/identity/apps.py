"""Who there is: tenants, users, their memberships and keys. Knows no node, model or request."""

from __future__ import annotations

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "ollamamax.identity"
    label = "identity"
