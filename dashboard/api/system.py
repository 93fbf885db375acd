"""The installation itself, for its operator: how its processes, loops, queues and databases fare, and every setting."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from dashboard.queries import system as queries
from ollamamax import env
from ollamamax.identity.api.base import View


class PostgresSerializer(serializers.Serializer[Any]):
    """What could not be read is left out; ``error`` says why."""

    version = serializers.CharField(required=False)
    size_bytes = serializers.IntegerField(required=False)
    connections = serializers.IntegerField(required=False)
    most_connections = serializers.IntegerField(required=False)
    uptime_seconds = serializers.FloatField(required=False)
    error = serializers.CharField()


class RedisSerializer(serializers.Serializer[Any]):
    redis_version = serializers.CharField(allow_null=True)
    used_memory = serializers.IntegerField(allow_null=True)
    maxmemory = serializers.IntegerField(allow_null=True, help_text="0: no bound.")
    connected_clients = serializers.IntegerField(allow_null=True)
    uptime_in_seconds = serializers.IntegerField(allow_null=True)
    role = serializers.CharField(allow_null=True)


class LoopSerializer(serializers.Serializer[Any]):
    """``leader`` is the controller's process that runs it; ``behind_ms`` how late the last run began; ``error`` what ended it."""

    loop = serializers.CharField()
    leader = serializers.CharField()
    ago_seconds = serializers.FloatField()
    every_seconds = serializers.FloatField()
    took_ms = serializers.FloatField()
    behind_ms = serializers.FloatField()
    spent_ms = serializers.FloatField()
    error = serializers.CharField()


class NodeQueueSerializer(serializers.Serializer[Any]):
    node = serializers.CharField()
    node_name = serializers.CharField()
    messages = serializers.IntegerField()
    tickets = serializers.IntegerField()


class QueuesSerializer(serializers.Serializer[Any]):
    """Celery ``messages`` and ``tickets`` that nodes have not taken; ``longest`` names ten at most."""

    nodes = serializers.IntegerField()
    nodes_reporting = serializers.IntegerField()
    messages = serializers.IntegerField()
    tickets = serializers.IntegerField()
    longest = NodeQueueSerializer(many=True)


class RegionSerializer(serializers.Serializer[Any]):
    """What could not be read is left out; ``error`` says why."""

    name = serializers.CharField()
    error = serializers.CharField()
    redis = RedisSerializer(required=False)
    gateways = serializers.IntegerField(required=False, help_text="Processes that run.")
    gateways_missed = serializers.IntegerField(required=False, help_text="Processes that are gone and not settled yet.")
    directory_number = serializers.IntegerField(required=False)
    directory_behind_seconds = serializers.FloatField(required=False)
    usage_waiting = serializers.IntegerField(required=False, help_text="Records that Postgres does not have yet.")
    usage_refused = serializers.IntegerField(required=False, help_text="Records that Postgres refused.")
    loops = LoopSerializer(many=True, required=False)
    queues = QueuesSerializer(required=False)


class SystemSerializer(serializers.Serializer[Any]):
    version = serializers.CharField()
    python = serializers.CharField()
    postgres = PostgresSerializer()
    regions = RegionSerializer(many=True)


class SettingSerializer(serializers.Serializer[Any]):
    """``value`` and ``default`` of a secret are null: it is hidden. Each is read once, when a process starts."""

    name = serializers.CharField()
    value = serializers.CharField(allow_null=True)
    default = serializers.CharField(allow_null=True, help_text="null where it must be set, too.")
    source = serializers.ChoiceField(["environment", "default"])  # type: ignore[assignment]
    help = serializers.CharField()
    hidden = serializers.BooleanField()


class SettingsSerializer(serializers.Serializer[Any]):
    results = SettingSerializer(many=True)


class SystemView(View):
    permissions = {"GET": "tenant.manage"}
    serializer_class = SystemSerializer
    pagination_class = None

    @extend_schema(operation_id="system_retrieve", responses=SystemSerializer)
    def get(self, request: Request) -> Response:
        """How the installation fares. For its operator."""
        return Response(SystemSerializer(queries.system()).data)


class SettingsView(View):
    permissions = {"GET": "tenant.manage"}
    serializer_class = SettingsSerializer
    pagination_class = None

    @extend_schema(operation_id="settings_list", responses=SettingsSerializer)
    def get(self, request: Request) -> Response:
        """Every setting of the web process, where its value comes from, and what it does. For the operator."""
        rows = [{**asdict(each), "hidden": each.value is None} for each in env.shown()]
        return Response(SettingsSerializer({"results": rows}).data)
