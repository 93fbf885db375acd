"""The log of a node's agent and engine, asked for live."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.node_log import read_node_log
from ollamamax.contract.node_log import NodeLog
from ollamamax.identity.api.base import View


class NodeLogFilters(serializers.Serializer[Any]):
    part = serializers.ChoiceField(["agent", "engine"], default="agent", source="source")
    after = serializers.IntegerField(
        min_value=0, max_value=2**53, default=0, help_text="only lines with a higher number: for who follows the log"
    )


class NodeLogLineSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    text = serializers.CharField()


class NodeLogSerializer(serializers.Serializer[NodeLog]):
    """``boot`` is another one after the node's process was started anew: numbers begin again."""

    part = serializers.ChoiceField(["agent", "engine"], source="source")
    boot = serializers.CharField()
    lines = NodeLogLineSerializer(many=True)
    note = serializers.CharField(help_text="why there is no line, where there can be none")


class NodeLogView(View):
    permissions = {"GET": "node.manage"}
    of_objects = True
    serializer_class = NodeLogSerializer
    pagination_class = None

    @extend_schema(operation_id="nodes_log", parameters=[NodeLogFilters], responses=NodeLogSerializer)
    def get(self, request: Request, node_id: uuid.UUID) -> Response:
        """The last 500 lines at most, as the node tells them now, without secrets. Who reads it is in the audit trail."""
        given = NodeLogFilters(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = read_node_log(acting=self.acting, node_id=node_id, **given.validated_data)
        return Response(NodeLogSerializer(found).data)
