"""PredictionPolicy: what is done in a tenant when a detector predicts that a node fails."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class PredictionPolicy(models.Model):
    """Without a row of its own a detector proposes."""

    class Act(models.TextChoices):
        PROPOSE = "propose"
        CORDON = "cordon"
        DRAIN = "drain"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    detector = models.CharField(max_length=64)
    act = models.CharField(max_length=16, choices=Act)

    objects: models.Manager[PredictionPolicy] = tenant_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "detector"],
                name="cluster_prediction_policy_once",
                violation_error_message="There is a policy for this detector already.",
            ),
            models.CheckConstraint(
                condition=models.Q(act__in=["propose", "cordon", "drain"]),
                name="cluster_prediction_policy_known",
                violation_error_message="A prediction is proposed, or its node is cordoned or drained.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.detector}: {self.act}"
