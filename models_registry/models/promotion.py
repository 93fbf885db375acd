"""Promotion: somebody asked that a version become production, and who approved; PromotionPolicy: how many others a tenant asks for, and whom it trusts."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.release import Release
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

MOST_APPROVALS = 5


class PromotionPolicy(models.Model):
    """``approvals``: so many people besides the one who asks must approve; a tenant without a row asks for none.

    ``trusted_signers``: whose bundles it takes besides the installation's own, each with ``name`` and ``key``.
    """

    tenant = models.OneToOneField("identity.Tenant", on_delete=models.PROTECT, primary_key=True, related_name="+")
    approvals = models.PositiveSmallIntegerField(default=0, db_default=0)
    trusted_signers = models.JSONField(default=list, db_default=[])
    changed_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[PromotionPolicy] = tenant_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(approvals__lte=MOST_APPROVALS),
                name="registry_policy_approvals_few",
                violation_error_message=f"At most {MOST_APPROVALS} approvals can be asked for.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.approvals} approvals"


class Promotion(models.Model):
    """``person`` is the user behind who asked, whichever key they used; ``approvals`` are ``{"person", "name", "at"}`` of others."""

    class State(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        REJECTED = "rejected"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="promotions")
    state = models.CharField(max_length=16, choices=State.choices, default=State.OPEN)
    reason = models.CharField(max_length=500, default="", blank=True)
    needed = models.PositiveSmallIntegerField()
    approvals = models.JSONField(default=list)
    person = models.CharField(max_length=100)
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects: models.Manager[Promotion] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["release"],
                condition=models.Q(state="open"),
                name="registry_promotion_once",
                violation_error_message="It was asked for already.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["open", "done", "rejected"]),
                name="registry_promotion_state_known",
                violation_error_message="Not a state of a promotion.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release_id}: {self.state}"
