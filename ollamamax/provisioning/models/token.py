"""ScimToken: what the directory of an identity provider's sends with each request, to say whose it is."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.sso.models import IdentityProvider


class ScimToken(models.Model):
    """``identifier`` is the public part of its text (`ollamamax.identity.keys`), ``secret_hash`` the SHA-256 of the other.

    Refused from ``expires_at`` or ``revoked_at`` on. ``used_at`` is exact to a minute.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(IdentityProvider, on_delete=models.CASCADE, related_name="scim_tokens")
    name = models.CharField(max_length=100)
    identifier = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by_name = models.CharField(max_length=254)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    objects: models.Manager[ScimToken] = tenant_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(name=""),
                name="provisioning_token_named",
                violation_error_message="A token has a name.",
            )
        ]

    def __str__(self) -> str:
        return self.name
