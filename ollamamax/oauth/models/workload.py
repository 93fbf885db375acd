"""Workload: a program elsewhere that a tenant trusts by what its own issuer says of it."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import ApiKey, Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Workload(models.Model):
    """``key`` is a service account's, and nobody has its secret. ``rules`` are pairs of a claim and a pattern, all of which must hold.

    ``refresh_seconds``: for how long after its issuer's word it may go on by refresh tokens; 0 for not at all.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    issuer = models.CharField(max_length=1000)
    audience = models.CharField(max_length=255)
    rules = models.JSONField()
    refresh_seconds = models.PositiveIntegerField(default=0, db_default=0)
    created_by_name = models.CharField(max_length=254, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    objects: models.Manager[Workload] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="oauth_workload_name_unique",
                violation_error_message="There is a workload of this name already.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name="") & ~models.Q(issuer="") & ~models.Q(audience=""),
                name="oauth_workload_named",
                violation_error_message="A workload has a name, an issuer and an audience.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
