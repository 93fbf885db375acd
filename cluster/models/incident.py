"""Incident: a fault of one thing, from its beginning to its end, with evidence, timeline, and whom it hit."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Incident(models.Model):
    """``key`` is that of `cluster.incidents.trouble`; ``subject_id`` the hex id of a node or a model, or empty. ``evidence`` and ``timeline`` are bounded
    lists of objects. The hits are counted when it closes: requests that failed there or had to go elsewhere."""

    class Severity(models.TextChoices):
        CRITICAL = "critical"
        WARNING = "warning"

    class About(models.TextChoices):
        NODE = "node"
        MODEL = "model"
        FLEET = "fleet"
        SYSTEM = "system"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    region = models.CharField(max_length=63, default="", blank=True)
    key = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    about = models.CharField(max_length=16, choices=About)
    subject_id = models.CharField(max_length=32, default="", blank=True)
    subject_name = models.CharField(max_length=400, default="", blank=True)
    severity = models.CharField(max_length=16, choices=Severity)
    text = models.CharField(max_length=500)
    evidence = models.JSONField(default=list)
    timeline = models.JSONField(default=list)
    opened_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    reopened = models.PositiveIntegerField(default=0)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=254, default="", blank=True)
    silenced_until = models.DateTimeField(null=True)
    recovery = models.JSONField(null=True)
    """The latest run of a playbook, `cluster.recovery.playbook.RecoveryRun`; null where none was begun."""
    came_true = models.BooleanField(null=True)
    """Of a prediction that is over: whether the fault that it named began while it stood; null of all others."""
    requests_hit = models.PositiveIntegerField(null=True)
    tenants_hit = models.PositiveIntegerField(null=True)

    objects: models.Manager[Incident] = tenant_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "key"],
                condition=models.Q(closed_at__isnull=True),
                name="cluster_incident_open_once",
                violation_error_message="There is an open incident of this already.",
            ),
            models.CheckConstraint(
                condition=models.Q(severity__in=["critical", "warning"]),
                name="cluster_incident_severity_known",
                violation_error_message="An incident is critical or a warning.",
            ),
            models.CheckConstraint(
                condition=models.Q(about__in=["node", "model", "fleet", "system"]),
                name="cluster_incident_about_known",
                violation_error_message="An incident is about a node, a model, the fleet or the system.",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-opened_at"], name="cluster_incident_newest"),
            models.Index(fields=["closed_at"], name="cluster_incident_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_name or self.about}"
