"""Nodes of the caller's tenant."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.node import NodeChange, change_node, remove_node
from cluster.api.serializers import NodeChangeSerializer, NodeFilters, NodeSerializer
from cluster.models import Node
from cluster.queries import node as queries
from cluster.queries.health import health_of
from ollamamax.contract.tables import EVERYBODY
from ollamamax.identity.api.base import View
from ollamamax.kernel.principal import Principal


class NodeListView(View):
    permissions = {"GET": "node.view"}
    of_objects = True
    serializer_class = NodeSerializer
    filters = NodeFilters
    orderings = {"joined_at": "joined_at", "name": "name"}

    def get_queryset(self) -> QuerySet[Any]:
        return queries.nodes(self.acting).annotate(shared=Q(access__contains=[EVERYBODY]))

    def _said(self, page: Sequence[Node]) -> dict[str, Any]:
        return _said(page, self.acting)

    @extend_schema(operation_id="nodes_list", responses=NodeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's nodes that the caller may see, the newest first, with their telemetry."""
        return self.listing(self.get_queryset(), NodeSerializer, self._said)


class NodeView(View):
    permissions = {"GET": "node.view", "PATCH": "node.manage", "DELETE": "node.manage"}
    of_objects = True
    serializer_class = NodeSerializer
    etagged = True
    volatile = frozenset(
        {
            "lifecycle",
            "lifecycle_since",
            "drain",
            "telemetry",
            "online",
            "problem",
            "health",
            "last_seen_at",
            "agent_version",
        }
    )

    @extend_schema(operation_id="nodes_retrieve", responses=NodeSerializer)
    def get(self, request: Request, node_id: uuid.UUID) -> Response:
        """One node with its telemetry."""
        return _shown(queries.get_node(self.acting, node_id), self.acting)

    @extend_schema(operation_id="nodes_update", request=NodeChangeSerializer, responses=NodeSerializer)
    def patch(self, request: Request, node_id: uuid.UUID) -> Response:
        """Cordon a node (``schedulable: false``: no new requests), drain it (with ``drain_seconds``), resume, describe or share it."""
        given = NodeChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change = cast("NodeChange", given.validated_data)
        return _shown(change_node(acting=self.acting, node_id=node_id, change=change), self.acting)

    @extend_schema(operation_id="nodes_destroy", responses={204: None})
    def delete(self, request: Request, node_id: uuid.UUID) -> Response:
        """Remove a node: its credentials stop working at once."""
        remove_node(acting=self.acting, node_id=node_id)
        return Response(status=204)


def _shown(node: Node, acting: Principal) -> Response:
    return Response(NodeSerializer(node, context=_said([node], acting)).data)


def _said(found: Sequence[Node], acting: Principal) -> dict[str, Any]:
    """What nodes say, and how the control plane judges them."""
    return {"heard": queries.heard(found), "health": health_of(acting.tenant or "")}
