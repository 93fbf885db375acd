"""ReplicationPolicy: where a model's versions are to be, or those of all models of a tenant that have no policy of their own."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.model import Model
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class ReplicationPolicy(models.Model):
    """``terms`` are the JSON of `models_registry.replication.terms.ReplicationTerms`. Without ``model`` they are the tenant's."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    model = models.OneToOneField(
        Model, on_delete=models.CASCADE, null=True, blank=True, related_name="replication_policy"
    )
    terms = models.JSONField(default=dict)
    shortages = models.JSONField(default=dict)
    """Of versions with fewer copies than they should have, by digest, why; as the last plan found. In the tenant's row, or the model's own."""
    changed_at = models.DateTimeField(default=timezone.now)
    planned_at = models.DateTimeField(default=timezone.now)
    """When a plan last changed anything that it decides."""

    objects: models.Manager[ReplicationPolicy] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant"],
                condition=models.Q(model=None),
                name="registry_replication_policy_of_tenant",
                violation_error_message="The tenant has a policy already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id or self.tenant_id}: {self.terms}"
