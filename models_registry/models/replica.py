"""Replica: one version on one node: what is wanted of it there, and its state as the node last reported it."""

from __future__ import annotations

from django.db import models

from models_registry.models.version import Version
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Replica(models.Model):
    """``ready`` only after its bytes were verified on the node; ``present`` is an engine's own word for its own models."""

    class Desired(models.TextChoices):
        HELD = "held"
        ABSENT = "absent"
        ANY = "any", "left to the engine that keeps it"

    class State(models.TextChoices):
        PENDING = "pending"
        FETCHING = "fetching"
        READY = "ready"
        PRESENT = "present"
        FAILED = "failed"
        LOST = "lost"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="replicas")
    node = models.ForeignKey("cluster.Node", on_delete=models.CASCADE, related_name="replicas")
    desired = models.CharField(max_length=8, choices=Desired.choices, default=Desired.ANY)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=100, default="", db_default="", blank=True)
    """Why it is wanted or not, where terms say how many copies there are and where; a `MoveReason`."""
    paused = models.BooleanField(default=False, db_default=False)
    """Whether somebody stopped its transfer; it is not begun again until they let it."""
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_per_second = models.FloatField(null=True, blank=True)
    """How fast its bytes came in the last seconds; null while none do."""
    bytes_of_peers = models.PositiveBigIntegerField(default=0, db_default=0)
    """How many of them came from other nodes."""
    in_use = models.BooleanField(default=False, db_default=False)
    """Whether it is in the memory of an engine there, or on its way into it."""
    used_at = models.DateTimeField(null=True, blank=True)
    """When that last began or ended."""
    memory = models.PositiveBigIntegerField(null=True, blank=True)
    """Bytes that it took there when it was last loaded, by the engine's word at its first look; null where the engine never told."""
    memory_context = models.PositiveBigIntegerField(null=True, blank=True)
    memory_slots = models.PositiveIntegerField(null=True, blank=True)
    """Tokens of context and slots that it was loaded with then."""
    memory_engine = models.CharField(max_length=16, default="", db_default="", blank=True)
    memory_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(default="")
    changed_at = models.DateTimeField()

    objects: models.Manager[Replica] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "node"],
                name="registry_replica_unique",
                violation_error_message="The node has a replica of this version already.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["pending", "fetching", "ready", "present", "failed", "lost"]),
                name="registry_replica_state_known",
                violation_error_message="Not a state of a replica.",
            ),
            models.CheckConstraint(
                condition=models.Q(desired__in=["held", "absent", "any"]),
                name="registry_replica_desired_known",
                violation_error_message="Not a state that a replica is wanted in.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version_id} on {self.node_id}: {self.state}"
