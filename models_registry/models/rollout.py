"""Rollout: a channel that is moved to another version in steps; RolloutAnswer: which answers it has counted."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from models_registry.models.model import Channel
from models_registry.rollout.plan import OPEN, RolloutState
from models_registry.rollout.steps import RolloutKind
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

KINDS = [each.value for each in RolloutKind]
STATES = [each.value for each in RolloutState]
OPEN_STATES = [each.value for each in OPEN]


class Rollout(models.Model):
    """``steps`` are in the JSON of `models_registry.rollout.steps`, ``gates`` and ``progress`` in that of `models_registry.rollout.plan`. ``why`` says in a sentence what it waits for, or
    why it ended; ``events`` are ``{"at", "what", "by"}``, the oldest first."""

    class Kind(models.TextChoices):
        STAGED = "staged"
        BLUE_GREEN = "blue_green", "blue-green"
        SHADOW = "shadow"

    class State(models.TextChoices):
        PRELOADING = "preloading"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        ROLLED_BACK = "rolled_back", "rolled back"
        SUPERSEDED = "superseded"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="rollouts")
    from_version = models.CharField(max_length=71)
    to_version = models.CharField(max_length=71)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.STAGED, db_default=Kind.STAGED)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PRELOADING)
    steps = models.JSONField()
    gates = models.JSONField()
    progress = models.JSONField(default=dict)
    why = models.CharField(max_length=500, default="", blank=True)
    events = models.JSONField(default=list)
    reason = models.CharField(max_length=500, default="", blank=True)
    by_kind = models.CharField(max_length=16)
    by_id = models.CharField(max_length=100)
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    stepped_at = models.DateTimeField(null=True, blank=True)
    """When the step began, or went on after a pause; null before the first."""
    ended_at = models.DateTimeField(null=True, blank=True)

    objects: models.Manager[Rollout] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel"],
                condition=models.Q(state__in=OPEN_STATES),
                name="registry_rollout_once",
                violation_error_message="A rollout of this channel is under way.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=STATES),
                name="registry_rollout_state_known",
                violation_error_message="Not a state of a rollout.",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=KINDS),
                name="registry_rollout_kind_known",
                violation_error_message="Not a kind of rollout.",
            ),
            models.CheckConstraint(
                condition=~models.Q(from_version=models.F("to_version")),
                name="registry_rollout_moves",
                violation_error_message="The channel points at this version already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_version} -> {self.to_version}: {self.state}"


class RolloutAnswer(models.Model):
    """A request whose answer the rollout has counted; forgotten when its receipt is so long ago that it is looked for no more."""

    pk = models.CompositePrimaryKey("rollout_id", "request")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="+", db_index=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    request = models.UUIDField()
    received_at = models.DateTimeField()

    objects: models.Manager[RolloutAnswer] = tenant_manager()

    def __str__(self) -> str:
        return self.request.hex
