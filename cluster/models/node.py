"""Node: a host that joined. Its telemetry is not here: it lives in Redis, as long as the node says something."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.db.models.lookups import Exact
from django.utils import timezone

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

MOST_HOURLY_COST = 1e6


class Node(models.Model):
    """``identifier`` and ``secret_hash`` are of its key for HTTP, ``redis_password_hash`` (SHA-256) of its Redis user.

    One of the operator's tenant runs requests of the tenants in ``access``, too, for the models it has: their ids as 32
    hexadecimal digits, or `ollamamax.contract.tables.EVERYBODY`. ``region``, ``labels``, ``taints`` and ``hourly_cost`` are what routing goes by.
    """

    class Lifecycle(models.TextChoices):
        """See `cluster.lifecycle.machine`. A retired node has no row any more."""

        JOINING = "joining"
        READY = "ready"
        CORDONED = "cordoned"
        DRAINING = "draining"
        UNREACHABLE = "unreachable"
        LOST = "lost"

    class EngineKind(models.TextChoices):
        OLLAMA = "ollama"
        OPENAI = "openai"
        LLAMACPP = "llamacpp"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    engine = models.CharField(max_length=16, choices=EngineKind.choices)
    identifier = models.CharField(max_length=16)
    secret_hash = models.CharField(max_length=64)
    redis_password_hash = models.CharField(max_length=64)
    agent_version = models.CharField(max_length=50, default="")
    lifecycle = models.CharField(max_length=16, choices=Lifecycle, default=Lifecycle.JOINING, db_default="joining")
    lifecycle_since = models.DateTimeField(default=timezone.now, db_default=Now())
    schedulable = models.BooleanField(default=True)
    drain_since = models.DateTimeField(null=True)
    drain_until = models.DateTimeField(null=True)
    """When what still runs on it is ended there. Null for a node that is only cordoned: it takes no new requests."""
    drain_running = models.PositiveIntegerField(null=True)
    """How many requests ran when the drain began; null where the node did not say."""
    access = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    region = models.CharField(max_length=63, default="", blank=True)
    labels = models.JSONField(default=dict, blank=True)
    taints = models.JSONField(default=list, db_default=[], blank=True)
    """Texts in the form of `cluster.scheduling.taints`."""
    hourly_cost = models.FloatField(null=True)
    joined_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(null=True)

    objects: models.Manager[Node] = tenant_manager()

    class Meta:
        default_permissions = ()
        permissions = [("node.view", "See the node"), ("node.manage", "Manage the node")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="cluster_node_name_unique",
                violation_error_message="There is a node of this name already.",
            ),
            models.UniqueConstraint(
                fields=["identifier"],
                name="cluster_node_identifier_unique",
                violation_error_message="There is a node with this identifier already.",
            ),
            models.CheckConstraint(
                condition=models.Q(engine__in=["ollama", "openai", "llamacpp"]),
                name="cluster_node_engine_known",
                violation_error_message="An engine is ollama, openai or llamacpp.",
            ),
            models.CheckConstraint(
                condition=models.Q(lifecycle__in=["joining", "ready", "cordoned", "draining", "unreachable", "lost"]),
                name="cluster_node_lifecycle_known",
                violation_error_message="A node is joining, ready, cordoned, draining, unreachable or lost.",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
                name="cluster_node_name_form",
                violation_error_message="A node's name has up to 100 letters, digits, dots, hyphens and underscores.",
            ),
            models.CheckConstraint(
                condition=models.Q(region__regex=r"^[a-z0-9-]{0,63}$"),
                name="cluster_node_region_form",
                violation_error_message="A region has up to 63 small letters, digits and hyphens.",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    Exact(
                        models.Func(models.F("labels"), function="jsonb_typeof", output_field=models.CharField()),
                        models.Value("object"),
                    )
                ),
                name="cluster_node_labels_object",
                violation_error_message="Labels are an object of strings.",
            ),
            models.CheckConstraint(
                # The bound above keeps NaN out too, which is greater than every number to Postgres.
                condition=models.Q(hourly_cost__isnull=True)
                | models.Q(hourly_cost__gte=0.0, hourly_cost__lte=MOST_HOURLY_COST),
                name="cluster_node_hourly_cost_range",
                violation_error_message="What a node costs an hour is between 0 and a million.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
