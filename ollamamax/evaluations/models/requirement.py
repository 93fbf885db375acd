"""EvaluationRequirement: a version becomes production only with so high a score in a suite."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models import Model
from ollamamax.evaluations.models.suite import EvaluationSuite
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class EvaluationRequirement(models.Model):
    """``least_score`` is a share of cases, above 0 and at most 1. ``model``: of which it is asked; null: of all models of the tenant."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    suite = models.ForeignKey(EvaluationSuite, on_delete=models.PROTECT, related_name="requirements")
    model = models.ForeignKey(Model, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    least_score = models.FloatField()
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[EvaluationRequirement] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["suite", "model"],
                name="evaluations_requirement_of_model",
                violation_error_message="The suite is required of this model already.",
            ),
            models.UniqueConstraint(
                fields=["suite"],
                condition=models.Q(model=None),
                name="evaluations_requirement_of_all",
                violation_error_message="The suite is required of all models already.",
            ),
            models.CheckConstraint(
                condition=models.Q(least_score__gt=0, least_score__lte=1),
                name="evaluations_requirement_score_is_a_share",
                violation_error_message="A score is above 0 and at most 1.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.suite_id}: {self.least_score}"
