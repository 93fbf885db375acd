"""Join tokens, and the one door that they open."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cluster import membership
from cluster.actions.join_token import issue_join_token, revoke_join_token
from cluster.actions.node import join_node
from cluster.api.serializers import (
    CreatedJoinTokenSerializer,
    JoinedSerializer,
    JoinSerializer,
    JoinTokenCreateSerializer,
    JoinTokenFilters,
    JoinTokenSerializer,
)
from cluster.queries import node as queries
from ollamamax.identity.api.base import PUBLIC, View

_NO_STORE = {"Cache-Control": "no-store"}


class JoinTokenListView(View):
    permissions = {"GET": "node.manage", "POST": "node.manage"}
    serializer_class = JoinTokenSerializer
    filters = JoinTokenFilters
    orderings = {"created_at": "created_at", "expires_at": "expires_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.join_tokens()

    @extend_schema(operation_id="join_tokens_list", responses=JoinTokenSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's join tokens, the newest first."""
        return self.listing(self.get_queryset(), JoinTokenSerializer)

    @extend_schema(
        operation_id="join_tokens_create",
        request=JoinTokenCreateSerializer,
        responses={201: CreatedJoinTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        """Issue a join token. Its text is in this answer and never again."""
        given = JoinTokenCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        token, text = issue_join_token(
            acting=self.acting,
            lifetime=datetime.timedelta(seconds=given.validated_data["expires_in"]),
            max_uses=given.validated_data["max_uses"],
        )
        return Response({**JoinTokenSerializer(token).data, "token": text}, status=201, headers=_NO_STORE)


class JoinTokenView(View):
    permissions = {"DELETE": "node.manage"}
    serializer_class = JoinTokenSerializer

    @extend_schema(operation_id="join_tokens_destroy", responses={204: None})
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        """Revoke a join token. Nodes that joined with it stay."""
        revoke_join_token(acting=self.acting, token_id=token_id)
        return Response(status=204)


class JoinView(View):
    """Public: the join token in the body is the credential."""

    permissions = {"POST": PUBLIC}
    authentication_classes = []
    serializer_class = JoinSerializer

    @extend_schema(operation_id="nodes_join", request=JoinSerializer, responses={201: JoinedSerializer}, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a join token for a node's identity. Its secrets are in this answer and never again."""
        given = JoinSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        joined = join_node(**given.validated_data)
        answer = {
            "node": joined.node.id.hex,
            "name": joined.node.name,
            "tenant": joined.node.tenant_id.hex,
            "secret": joined.secret,
            "redis_url": membership.redis_url(joined.node, joined.redis_password),
        }
        return Response(answer, status=201, headers=_NO_STORE)
