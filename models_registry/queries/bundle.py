"""Whose bundles a tenant takes."""

from __future__ import annotations

from models_registry.models import PromotionPolicy


def trusted_signers() -> list[dict[str, str]]:
    """``name`` and ``key`` of each that the tenant in scope trusts, this installation itself left out. Queries: 1."""
    policy = PromotionPolicy.objects.first()
    return list(policy.trusted_signers) if policy is not None else []
