"""Pools of the caller's tenant: nodes under one name, on which rights can be granted."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.pool import MOST_NODES, change_pool, create_pool, delete_pool
from cluster.api.serializers import labels_field
from cluster.models import Pool
from cluster.queries import pool as queries
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import CreatedFilters
from ollamamax.identity.api.serializers import ChangeSerializer


class PoolSerializer(serializers.ModelSerializer[Pool]):
    selector = serializers.DictField(child=serializers.CharField())
    nodes = serializers.SerializerMethodField(help_text="Those that were put into it.")
    size = serializers.SerializerMethodField(
        help_text="How many nodes are in it now, with those that its labels choose."
    )

    class Meta:
        model = Pool
        fields = ["id", "name", "selector", "nodes", "size", "created_at", "changed_at"]
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_nodes(self, pool: Pool) -> list[str]:
        return sorted(str(each.node_id) for each in pool.members.all())

    def get_size(self, pool: Pool) -> int:
        return queries.nodes_of(pool).count()


def _nodes() -> serializers.ListField:
    return serializers.ListField(child=serializers.UUIDField(), max_length=MOST_NODES, required=False)


class PoolCreateSerializer(serializers.Serializer[Any]):
    name = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    selector = labels_field("A node that has all of these labels is in the pool; without any, none is by its labels.")
    nodes = _nodes()


class PoolChangeSerializer(ChangeSerializer):
    name = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", required=False)
    selector = labels_field("All that it has from now on.")
    nodes = _nodes()


class PoolFilters(CreatedFilters):
    name = serializers.CharField(required=False, max_length=63, source="name__icontains", help_text="A part of it.")


class PoolListView(View):
    permissions = {"GET": "node.view", "POST": "node.manage"}
    of_objects = True
    serializer_class = PoolSerializer
    filters = PoolFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.pools(self.acting)

    @extend_schema(operation_id="pools_list", responses=PoolSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's pools whose nodes the caller may see, the newest first."""
        return self.listing(self.get_queryset(), PoolSerializer)

    @extend_schema(operation_id="pools_create", request=PoolCreateSerializer, responses={201: PoolSerializer})
    def post(self, request: Request) -> Response:
        """Make a pool. A right that is granted on it counts on each node that is in it, as long as it is."""
        given = PoolCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(PoolSerializer(create_pool(acting=self.acting, **given.validated_data)).data, status=201)


class PoolView(View):
    permissions = {"GET": "node.view", "PATCH": "node.manage", "DELETE": "node.manage"}
    of_objects = True
    serializer_class = PoolSerializer
    etagged = True
    volatile = frozenset({"size"})

    @extend_schema(operation_id="pools_retrieve", responses=PoolSerializer)
    def get(self, request: Request, pool_id: uuid.UUID) -> Response:
        """One pool."""
        return Response(PoolSerializer(queries.get_pool(self.acting, pool_id)).data)

    @extend_schema(operation_id="pools_update", request=PoolChangeSerializer, responses=PoolSerializer)
    def patch(self, request: Request, pool_id: uuid.UUID) -> Response:
        """Change which nodes are in a pool; the rights that were granted on it follow within a second."""
        given = PoolChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_pool(acting=self.acting, pool_id=pool_id, **given.validated_data)
        return Response(PoolSerializer(queries.get_pool(self.acting, pool_id)).data)

    @extend_schema(operation_id="pools_destroy", responses={204: None})
    def delete(self, request: Request, pool_id: uuid.UUID) -> Response:
        """Delete a pool, and what was granted on it; its nodes stay."""
        delete_pool(acting=self.acting, pool_id=pool_id)
        return Response(status=204)
