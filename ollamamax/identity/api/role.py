"""Roles of the caller's tenant, and grants on single objects."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.grant import end_grant, give_grant
from ollamamax.identity.actions.role import change_role, create_role, delete_role
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import GrantFilters, RoleFilters
from ollamamax.identity.api.serializers import (
    GrantCreateSerializer,
    GrantSerializer,
    RoleChangeSerializer,
    RoleCreateSerializer,
    RoleSerializer,
)
from ollamamax.identity.queries import role as queries


class RoleListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = RoleSerializer
    filters = RoleFilters
    orderings = {"created_at": "created_at", "slug": "slug"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.roles()

    @extend_schema(operation_id="roles_list", responses=RoleSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's own roles, the newest first, and those of the system."""
        return self.listing(self.get_queryset(), RoleSerializer)

    @extend_schema(operation_id="roles_create", request=RoleCreateSerializer, responses={201: RoleSerializer})
    def post(self, request: Request) -> Response:
        """Make a role of permissions that the caller has."""
        given = RoleCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(RoleSerializer(create_role(acting=self.acting, **given.validated_data)).data, status=201)


class RoleView(View):
    permissions = {"GET": "member.view", "PATCH": "member.manage", "DELETE": "member.manage"}
    serializer_class = RoleSerializer
    etagged = True

    @extend_schema(operation_id="roles_retrieve", responses=RoleSerializer)
    def get(self, request: Request, role_id: uuid.UUID) -> Response:
        """One role."""
        return Response(RoleSerializer(queries.get_role(role_id)).data)

    @extend_schema(operation_id="roles_update", request=RoleChangeSerializer, responses=RoleSerializer)
    def patch(self, request: Request, role_id: uuid.UUID) -> Response:
        """Change one of the tenant's own roles, for all who have it; their keys follow within a second."""
        given = RoleChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(RoleSerializer(change_role(acting=self.acting, role_id=role_id, **given.validated_data)).data)

    @extend_schema(operation_id="roles_destroy", responses={204: None})
    def delete(self, request: Request, role_id: uuid.UUID) -> Response:
        """Delete one of the tenant's own roles that no member has."""
        delete_role(acting=self.acting, role_id=role_id)
        return Response(status=204)


class GrantListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = GrantSerializer
    filters = GrantFilters
    orderings = {"created_at": "created_at"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.grants()

    @extend_schema(operation_id="grants_list", responses=GrantSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What members may do on single models and nodes, the newest grant first."""
        return self.listing(self.get_queryset(), GrantSerializer)

    @extend_schema(operation_id="grants_create", request=GrantCreateSerializer, responses={201: GrantSerializer})
    def post(self, request: Request) -> Response:
        """Give a member a permission on one object, which the caller has there. It counts within a second."""
        given = GrantCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        made = give_grant(
            acting=self.acting,
            membership_id=values["member"],
            permission=values["permission"],
            kind=values["kind"],
            object_id=values["object"],
        )
        return Response(GrantSerializer(made).data, status=201)


class GrantView(View):
    permissions = {"GET": "member.view", "DELETE": "member.manage"}
    serializer_class = GrantSerializer
    etagged = True

    @extend_schema(operation_id="grants_retrieve", responses=GrantSerializer)
    def get(self, request: Request, grant_id: uuid.UUID) -> Response:
        """One grant."""
        return Response(GrantSerializer(queries.get_grant(grant_id)).data)

    @extend_schema(operation_id="grants_destroy", responses={204: None})
    def delete(self, request: Request, grant_id: uuid.UUID) -> Response:
        """End a grant, and what runs by it."""
        end_grant(acting=self.acting, grant_id=grant_id)
        return Response(status=204)
