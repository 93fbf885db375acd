"""Job: work on a model that goes on when its caller leaves and when the process that does it dies."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Job(models.Model):
    """``progress`` is the list of Ollama's progress messages, each in its last form; ``lease_until`` the time until
    which the process ``holder`` is believed to be at it. ``fingerprint`` is the sha256 of what was asked for.
    ``bytes_per_second`` is how fast bytes came in the last seconds; null while none do. ``imported``: the channels that an
    import brought, as ``model:channel``."""

    class Kind(models.TextChoices):
        PULL = "pull"
        PUSH = "push"
        CREATE = "create"
        DELETE = "delete"
        IMPORT = "import"

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    model = models.CharField(max_length=400)
    request = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    progress = models.JSONField(default=list)
    bytes_per_second = models.FloatField(null=True, blank=True)
    imported = models.JSONField(default=list, db_default=[])
    error = models.TextField(default="", blank=True)
    error_code = models.CharField(max_length=50, default="", blank=True)
    error_status = models.PositiveSmallIntegerField(default=0)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=100)
    actor_name = models.CharField(max_length=200)
    attempts = models.PositiveSmallIntegerField(default=0)
    holder = models.CharField(max_length=40, default="", blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: models.Manager[Job] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "lease_until"], name="registry_job_state"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "fingerprint"],
                condition=models.Q(state__in=["waiting", "running"]),
                name="registry_job_once",
                violation_error_message="The same job is under way already.",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=["pull", "push", "create", "delete", "import"]),
                name="registry_job_kind_known",
                violation_error_message="Not a kind of job.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "running", "done", "failed", "cancelled"]),
                name="registry_job_state_known",
                violation_error_message="Not a state of a job.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.model}: {self.state}"

    @property
    def is_over(self) -> bool:
        return self.state not in {self.State.WAITING, self.State.RUNNING}
