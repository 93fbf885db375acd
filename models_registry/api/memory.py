"""How much memory a model needs, by its file and by what engines reported."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.queries.node import get_node
from models_registry.queries.memory import measured_on, memory_of
from models_registry.queries.model import get_channel
from ollamamax.identity.api.base import View

MOST_CONTEXT = 1 << 24
MOST_SLOTS = 4096


class MeasuredMemorySerializer(serializers.Serializer[Any]):
    """What a version took on a node when it was loaded there."""

    version = serializers.CharField(source="digest")
    node = serializers.UUIDField()
    node_name = serializers.CharField()
    engine = serializers.CharField()
    measured = serializers.IntegerField(help_text="bytes, by the engine's word just after it was loaded")
    context = serializers.IntegerField(help_text="tokens, of each slot")  # type: ignore[assignment]
    slots = serializers.IntegerField(allow_null=True, help_text="null where the engine does not tell")
    measured_at = serializers.DateTimeField(source="at")
    predicted = serializers.IntegerField(allow_null=True, help_text="for the same context and slots; null: not known")
    difference_percent = serializers.FloatField(
        allow_null=True, help_text="by how much the prediction is above what was measured"
    )


class NodeMeasuredMemorySerializer(MeasuredMemorySerializer):
    model = serializers.CharField(help_text="a name of the version; empty where it has none any more")


class MemoryNeedSerializer(serializers.Serializer[Any]):
    weights = serializers.IntegerField()
    cache = serializers.IntegerField(help_text="of keys and values, for all slots")
    buffers = serializers.IntegerField(help_text="of the engine's process and its work")
    total = serializers.IntegerField()


class MemorySerializer(serializers.Serializer[Any]):
    """Bytes of memory that a version needs, on GPUs and host together."""

    version = serializers.CharField(source="digest")
    engine = serializers.CharField()
    context = serializers.IntegerField(help_text="tokens, of each slot")  # type: ignore[assignment]
    slots = serializers.IntegerField()
    cache_type = serializers.CharField(source="cache", help_text="of the cache of keys and values")
    architecture = serializers.CharField(help_text="by its file; empty where that is not known")
    predicted = MemoryNeedSerializer(allow_null=True, help_text="by its file; null where it is not known")
    unknown = serializers.CharField(help_text="why it is not known; empty where it is")
    factor = serializers.FloatField(
        help_text="what predictions are multiplied by: what engines of this kind took of this architecture"
    )
    expected = serializers.IntegerField(
        allow_null=True, help_text="what was measured with the same context and slots, or else the corrected prediction"
    )
    measured = MeasuredMemorySerializer(many=True)


class MemoryFilters(serializers.Serializer[Any]):
    context = serializers.IntegerField(  # type: ignore[assignment]
        required=False, min_value=1, max_value=MOST_CONTEXT, help_text="Tokens of each slot; else the profile's."
    )
    slots = serializers.IntegerField(required=False, min_value=1, max_value=MOST_SLOTS)


class ModelMemoryView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = MemorySerializer
    pagination_class = None
    filters = MemoryFilters

    @extend_schema(operation_id="models_memory_retrieve", parameters=[MemoryFilters], responses=MemorySerializer)
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """How much memory the model needs once it is loaded, predicted and measured."""
        asked = self.asked()
        channel = get_channel(self.acting, channel_id)
        found = memory_of(channel, context=asked.get("context"), slots=asked.get("slots"))
        return Response(MemorySerializer(found).data)


class NodeMemoryView(View):
    permissions = {"GET": "node.view"}
    of_objects = True
    serializer_class = NodeMeasuredMemorySerializer
    pagination_class = None

    @extend_schema(operation_id="nodes_memory_list", responses=NodeMeasuredMemorySerializer(many=True))
    def get(self, request: Request, node_id: uuid.UUID) -> Response:
        """What models took on this node when they were loaded there, beside what was predicted."""
        found = measured_on(get_node(self.acting, node_id))
        rows = [MeasuredMemorySerializer(each).data | {"model": name} for name, each in found]
        return Response(rows)
