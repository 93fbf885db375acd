"""Which registries this installation speaks to."""

from __future__ import annotations

from django.conf import settings

from models_registry.transfer.reference import Allowed


def allowed_registries() -> Allowed:
    return Allowed(tuple(settings.ENV["OLLAMAMAX_PULL_REGISTRIES"]))
