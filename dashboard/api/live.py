"""The live topics by plain HTTP, for where WebSockets are blocked; and the document of the live socket."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from dashboard import asyncapi
from dashboard.queries.poll import poll
from dashboard.subscriptions import allowed_nodes, may_subscribe
from dashboard.topics import MOST_IDS, MOST_ROWS, TOPICS
from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.rights import require, tenant_of

MOST_TOPICS = len(TOPICS)


@require_safe
def asyncapi_document(request: HttpRequest) -> JsonResponse:
    """The AsyncAPI document of `/ws/live/`."""
    del request
    return JsonResponse(asyncapi.document())


class LiveFilters(serializers.Serializer[Any]):
    topics = serializers.CharField(max_length=200, help_text="Names of topics, separated by commas.")
    ids = serializers.CharField(
        required=False, max_length=MOST_IDS * 33, help_text="Of `node`: which, separated by commas."
    )
    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MOST_ROWS, help_text="Of `nodes`: the first so many by name."
    )

    def validate_topics(self, value: str) -> list[str]:
        names = list(dict.fromkeys(value.split(",")))
        unknown = [name for name in names if name not in TOPICS]
        if unknown:
            raise serializers.ValidationError(f"Topics are {', '.join(TOPICS)}.")
        return names

    def validate_ids(self, value: str) -> list[str]:
        return value.split(",")[:MOST_IDS]


class LiveView(View):
    permissions = {"GET": SIGNED_IN}
    filters = LiveFilters
    pagination_class = None

    @extend_schema(
        operation_id="live_retrieve",
        parameters=[LiveFilters],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        """What each of the topics shows now, as the snapshots of the live socket do; each needs its own permission."""
        asked = self.asked()
        tenant = tenant_of(self.acting).hex
        allowed: dict[str, frozenset[str] | None] = {}
        for name in asked["topics"]:
            topic = TOPICS[name]
            if not may_subscribe(self.acting, topic):
                require(self.acting, topic.permission)
            allowed[name] = allowed_nodes(self.acting, topic)
        found = async_to_sync(poll)(tenant, allowed, ids=asked.get("ids"), limit=asked.get("limit"))
        return Response(found)
