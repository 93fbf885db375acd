"""The queue: who of the caller's tenant waits, where and for how long, and how the slots are shared among tenants."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.api.fields import AnyId, UnixMoment
from cluster.queries import queue as queries
from ollamamax.identity.api.base import View
from ollamamax.identity.models import Priority


class WaitingSerializer(serializers.Serializer[Any]):
    """``position`` counts from 1 over all tenants; ``expected_wait_ms`` is null while nothing of the model has ended lately. ``nodes`` are the
    names of those that it waits for: the first that has a free slot gets it."""

    request = AnyId()
    key = AnyId()
    key_name = serializers.CharField(help_text="Empty for a key that is gone.")
    model = serializers.CharField()
    api = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    received_at = UnixMoment()
    position = serializers.IntegerField()
    expected_wait_ms = serializers.IntegerField(allow_null=True)
    nodes = serializers.ListField(child=serializers.CharField())


class ShareSerializer(serializers.Serializer[Any]):
    """One tenant's part: how many of its requests wait and run, and which part of the slots its weight gives it beside the others that wait
    or run now."""

    tenant = AnyId()
    tenant_name = serializers.CharField()
    weight = serializers.FloatField()
    waiting = serializers.IntegerField()
    running = serializers.IntegerField()
    share = serializers.FloatField(help_text="Of 1: its weight over that of all tenants that want slots now.")


class QueueSerializer(serializers.Serializer[Any]):
    """``waiting`` counts the requests of all tenants, ``requests`` are the caller's own. ``shares`` are of all tenants for the operator, and of
    the caller's alone for everybody else."""

    waiting = serializers.IntegerField()
    requests = WaitingSerializer(many=True)
    shares = ShareSerializer(many=True)


class QueueView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = QueueSerializer

    @extend_schema(operation_id="queue_retrieve", responses=QueueSerializer)
    def get(self, request: Request) -> Response:
        """The caller's requests that wait for a free slot, the next first."""
        return Response(QueueSerializer(queries.queue(self.acting)).data)
