"""EmailDomain: a domain whose addresses are a tenant's, once that was verified."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class EmailDomain(models.Model):
    """``token`` is what the domain's own web server must show. Many tenants may name a domain; one has it verified."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    domain = models.CharField(max_length=253)
    token = models.CharField(max_length=64)
    verified_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[EmailDomain] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "domain"],
                name="sso_domain_unique",
                violation_error_message="The tenant has named this domain already.",
            ),
            models.UniqueConstraint(
                fields=["domain"],
                condition=models.Q(verified_at__isnull=False),
                name="sso_domain_verified_unique",
                violation_error_message="This domain is another tenant's already.",
            ),
        ]

    def __str__(self) -> str:
        return self.domain
