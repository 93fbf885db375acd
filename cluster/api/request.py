"""Requests of the caller's tenant: the queue, and why one of them ran where it ran."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.queries import request as queries
from ollamamax.identity.api.base import View
from ollamamax.identity.models import Priority
from ollamamax.kernel.errors import NotFound


class _Moment(serializers.DateTimeField):
    """Unix seconds, shown as the rest of the API shows times."""

    def to_representation(self, value: Any) -> str:
        return str(super().to_representation(datetime.datetime.fromtimestamp(value, datetime.UTC)))


class _Id(serializers.UUIDField):
    """In Redis ids have no hyphens, in Postgres they are UUIDs; here they always have their hyphens."""

    def to_representation(self, value: Any) -> str:
        return str(uuid.UUID(str(value)))


class WaitingSerializer(serializers.Serializer[Any]):
    """``position`` counts from 1 over all tenants; ``expected_wait_ms`` is null while nothing of the model has ended lately."""

    request = _Id()
    key = _Id()
    model = serializers.CharField()
    api = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    received_at = _Moment()
    position = serializers.IntegerField()
    expected_wait_ms = serializers.IntegerField(allow_null=True)


class QueueSerializer(serializers.Serializer[Any]):
    """``waiting`` counts the requests of all tenants, ``requests`` are the caller's own."""

    waiting = serializers.IntegerField()
    requests = WaitingSerializer(many=True)


class ScoredNodeSerializer(serializers.Serializer[Any]):
    node = _Id()
    node_name = serializers.CharField()
    reason = serializers.CharField()
    score = serializers.FloatField()
    parts = serializers.DictField(child=serializers.FloatField())


class AttemptSerializer(serializers.Serializer[Any]):
    """``error`` is the code of what ended the try; empty when it was answered."""

    node = _Id()
    node_name = serializers.CharField()
    reason = serializers.CharField()
    given_at = _Moment()
    started_at = _Moment(required=False)
    error = serializers.CharField(required=False)
    price = serializers.FloatField(required=False, help_text="what a slot of the node cost an hour")
    currency = serializers.CharField(required=False)


class RouteSerializer(serializers.Serializer[Any]):
    """The last ranking, best first; who was ruled out, and why; every try. ``waiting``: how many waited when it joined them."""

    strategy = serializers.CharField(required=False)
    candidates = ScoredNodeSerializer(many=True, required=False)
    ruled_out = serializers.DictField(child=serializers.CharField(), required=False)
    attempts = AttemptSerializer(many=True, required=False)
    waiting = serializers.IntegerField(required=False)


class RequestSerializer(serializers.Serializer[Any]):
    """Times in milliseconds, null for what has not happened or is not known. ``status`` is the HTTP status with which it ended; ``user``
    and ``metadata`` are what its client wanted noted with it."""

    request = _Id()
    state = serializers.ChoiceField(["waiting", "running", "settled"])
    key = _Id()
    model = serializers.CharField()
    version = serializers.CharField()
    api = serializers.CharField()
    trace = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    received_at = _Moment()
    node = _Id(allow_null=True)
    node_name = serializers.CharField(allow_null=True)
    attempts = serializers.IntegerField()
    position = serializers.IntegerField(default=None, allow_null=True)
    expected_wait_ms = serializers.IntegerField(default=None, allow_null=True)
    queue_ms = serializers.FloatField(allow_null=True)
    first_token_ms = serializers.FloatField(default=None, allow_null=True)
    duration_ms = serializers.FloatField()
    prompt_tokens = serializers.IntegerField(default=None, allow_null=True)
    completion_tokens = serializers.IntegerField(default=None, allow_null=True)
    cost = serializers.DecimalField(max_digits=20, decimal_places=9, default=None, allow_null=True)
    currency = serializers.CharField(default="")
    outcome = serializers.CharField(default=None, allow_null=True)
    error = serializers.CharField(default="")
    status = serializers.IntegerField(default=None, allow_null=True)
    user = serializers.CharField(default="")
    metadata = serializers.DictField(child=serializers.CharField(), default=None, allow_null=True)
    route = RouteSerializer(default=None, allow_null=True)


class QueueView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = QueueSerializer

    @extend_schema(operation_id="queue_retrieve", responses=QueueSerializer)
    def get(self, request: Request) -> Response:
        """The caller's requests that wait for a free slot, the next first."""
        line = queries.waiting(self.acting.tenant or "")
        shown = []
        for each in line.own:
            place = line.places[each.request]
            expected = None if place.seconds is None else round(place.seconds * 1000)
            fields = {
                name: getattr(each, name) for name in ("request", "key", "model", "api", "priority", "received_at")
            }
            shown.append(fields | {"position": place.position, "expected_wait_ms": expected})
        return Response(QueueSerializer({"waiting": len(line.places), "requests": shown}).data)


class RequestView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = RequestSerializer

    @extend_schema(
        operation_id="requests_retrieve",
        parameters=[
            OpenApiParameter("request_id", {"type": "string", "maxLength": 36}, OpenApiParameter.PATH, required=True)
        ],
        responses=RequestSerializer,
    )
    def get(self, request: Request, request_id: str) -> Response:
        """One request, by the id in its ``x-request-id``: every candidate and its score, the wait, the tries, the times."""
        try:
            known = uuid.UUID(request_id)
        except ValueError:
            raise NotFound("There is no such request.") from None
        return Response(RequestSerializer(queries.find_request(known, self.acting.tenant or "")).data)
