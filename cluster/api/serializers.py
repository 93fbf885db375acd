"""What nodes and join tokens look like in the management API."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cluster.actions.join_token import MOST_USES
from cluster.actions.node import MOST_ACCESS, MOST_DRAIN_SECONDS
from cluster.api.health import HealthSerializer, shown
from cluster.labels import MOST_LABELS
from cluster.models import JoinToken, Node
from cluster.models.node import MOST_HOURLY_COST
from cluster.queries.node import Heard
from cluster.scheduling.taints import MOST_TAINTS
from ollamamax.contract import NodeState
from ollamamax.contract.health import FleetHealth
from ollamamax.contract.tables import EVERYBODY
from ollamamax.identity.api.fields import Number
from ollamamax.identity.api.filters import CreatedFilters
from ollamamax.identity.api.serializers import ChangeSerializer


class DrainSerializer(serializers.Serializer[Any]):
    """How far a drain is. It is over when nothing runs any more."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(
        help_text="what still runs then is ended there, and goes on elsewhere where it can"
    )
    running_at_start = serializers.IntegerField(allow_null=True)
    running = serializers.IntegerField(allow_null=True, help_text="null while the node does not say")


class NodeSerializer(serializers.ModelSerializer[Node]):
    """``telemetry`` is what the node said within the last seconds, or null when it said nothing: then there is no data.
    ``problem`` says why something that it says is not taken, or that it is cut off; null as long as all is well."""

    labels = serializers.DictField(child=serializers.CharField(), read_only=True)
    taints = serializers.ListField(child=serializers.CharField(), read_only=True)
    access = serializers.SerializerMethodField()
    shared = serializers.SerializerMethodField(help_text="deprecated: whether `access` names everybody")
    online = serializers.SerializerMethodField()
    telemetry = serializers.SerializerMethodField()
    problem = serializers.SerializerMethodField()
    drain = serializers.SerializerMethodField()
    health = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = [
            "id",
            "name",
            "engine",
            "agent_version",
            "lifecycle",
            "lifecycle_since",
            "schedulable",
            "drain",
            "access",
            "shared",
            "region",
            "labels",
            "taints",
            "hourly_cost",
            "joined_at",
            "last_seen_at",
            "online",
            "telemetry",
            "problem",
            "health",
        ]
        read_only_fields = fields

    def get_access(self, node: Node) -> list[str]:
        """The tenants whose requests it runs besides its own tenant's: their ids, or ``*`` for all."""
        return [each if each == EVERYBODY else str(uuid.UUID(each)) for each in node.access]

    def get_shared(self, node: Node) -> bool:
        return EVERYBODY in node.access

    def get_online(self, node: Node) -> bool:
        return self._state(node) is not None

    @extend_schema_field({"type": "object", "nullable": True, "additionalProperties": True})
    def get_telemetry(self, node: Node) -> dict[str, Any] | None:
        state = self._state(node)
        return None if state is None else msgspec.to_builtins(state)

    def get_problem(self, node: Node) -> str | None:
        """Why what it says is not taken, or that it is cut off."""
        return self._heard().problems.get(node.id.hex)

    @extend_schema_field(DrainSerializer(allow_null=True))
    def get_drain(self, node: Node) -> dict[str, Any] | None:
        if node.schedulable or node.drain_since is None:
            return None
        state = self._state(node)
        return dict(
            DrainSerializer(
                {
                    "since": node.drain_since,
                    "until": node.drain_until,
                    "running_at_start": node.drain_running,
                    "running": None if state is None else state.running,
                }
            ).data
        )

    @extend_schema_field(HealthSerializer)
    def get_health(self, node: Node) -> dict[str, Any]:
        report: FleetHealth | None = self.context["health"]
        return shown(report is not None, None if report is None else report.nodes.get(node.id.hex))

    def _state(self, node: Node) -> NodeState | None:
        return self._heard().states.get(node.id.hex)

    def _heard(self) -> Heard:
        found: Heard = self.context["heard"]
        return found


class NodeFilters(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")
    engine = serializers.CharField(required=False, max_length=16)
    region = serializers.CharField(required=False, max_length=63, allow_blank=True)
    lifecycle = serializers.ChoiceField(Node.Lifecycle.choices, required=False)
    schedulable = serializers.BooleanField(required=False, allow_null=True, default=None)
    shared = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attrs.items() if value is not None}


def labels_field(help_text: str) -> serializers.DictField:
    return serializers.DictField(
        child=serializers.CharField(max_length=255, allow_blank=True, trim_whitespace=False),
        required=False,
        help_text=help_text,
    )


class NodeChangeSerializer(ChangeSerializer):
    schedulable = serializers.BooleanField(
        required=False, help_text="false: no new requests (cordoned), true: it takes them again"
    )
    drain_seconds = Number(
        required=False,
        min_value=0,
        max_value=MOST_DRAIN_SECONDS,
        help_text="with schedulable false: what still runs after so long is ended there, and goes on elsewhere where it can",
    )
    access = serializers.ListField(
        child=serializers.CharField(max_length=36),
        required=False,
        max_length=MOST_ACCESS,
        help_text="all the tenants whose requests it runs besides its own tenant's, by their ids, or `*`; for nodes of the operator only",
    )
    shared = serializers.BooleanField(
        required=False, help_text="deprecated: true stands for `access` of everybody, false for nobody"
    )
    region = serializers.RegexField(r"^[a-z0-9-]{0,63}$", required=False, allow_blank=True)
    labels = labels_field(f"all the labels the node has from now on, at most {MOST_LABELS}")
    taints = serializers.ListField(
        child=serializers.CharField(max_length=150),
        required=False,
        max_length=MOST_TAINTS,
        help_text="all the taints the node has from now on, as `name=value:no_schedule` (no request that does not tolerate it comes) or "
        "`name=value:no_execute` (and those that run there end there)",
    )
    hourly_cost = Number(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MOST_HOURLY_COST,
        help_text="in any currency; null: unknown",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = super().validate(attrs)
        if "shared" in given:
            if "access" in given:
                raise serializers.ValidationError({"shared": "Say it with 'access' alone."})
            given["access"] = [EVERYBODY] if given.pop("shared") else []
        return given


class JoinTokenSerializer(serializers.ModelSerializer[JoinToken]):
    class Meta:
        model = JoinToken
        fields = ["id", "identifier", "max_uses", "uses", "created_at", "expires_at", "revoked_at"]
        read_only_fields = fields


class JoinTokenFilters(CreatedFilters):
    """Time only: which of them still work changes by itself."""


class JoinTokenCreateSerializer(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(min_value=60, max_value=30 * 86400, default=3600, help_text="seconds")
    max_uses = serializers.IntegerField(min_value=1, max_value=MOST_USES, default=1)


class CreatedJoinTokenSerializer(JoinTokenSerializer):
    token = serializers.CharField(help_text="shown this once")

    class Meta(JoinTokenSerializer.Meta):
        fields = [*JoinTokenSerializer.Meta.fields, "token"]
        read_only_fields = fields


class JoinSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)
    name = serializers.RegexField(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    engine = serializers.ChoiceField(choices=Node.EngineKind.choices)
    agent_version = serializers.CharField(max_length=50, default="")


class JoinedSerializer(serializers.Serializer[Any]):
    node = serializers.CharField()
    name = serializers.CharField()
    tenant = serializers.CharField()
    secret = serializers.CharField(help_text="the node's key for HTTP, shown this once")
    redis_url = serializers.CharField(help_text="with the node's own Redis user and password, shown this once")
