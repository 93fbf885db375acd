"""The caller's own tenant, and all tenants for the operator."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.tenant import (
    change_own_tenant,
    change_tenant,
    create_tenant,
    set_tenant_suspended,
)
from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.api.filters import TenantFilters
from ollamamax.identity.api.serializers import (
    OwnTenantChangeSerializer,
    TenantChangeSerializer,
    TenantCreateSerializer,
    TenantDetailSerializer,
)
from ollamamax.identity.queries.tenant import get_tenant, tenants
from ollamamax.kernel.errors import NotFound


class OwnTenantView(View):
    permissions = {"GET": SIGNED_IN, "PATCH": "member.manage"}
    serializer_class = TenantDetailSerializer
    etagged = True

    @extend_schema(operation_id="tenant_retrieve", responses=TenantDetailSerializer)
    def get(self, request: Request) -> Response:
        """The tenant that the caller acts in."""
        if self.acting.tenant is None:
            raise NotFound("You are a member of no tenant.")
        return Response(TenantDetailSerializer(get_tenant(uuid.UUID(self.acting.tenant))).data)

    @extend_schema(operation_id="tenant_update", request=OwnTenantChangeSerializer, responses=TenantDetailSerializer)
    def patch(self, request: Request) -> Response:
        """Change the tenant's name, or whether its responses show their route. Weight and limits are the operator's."""
        given = OwnTenantChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(TenantDetailSerializer(change_own_tenant(acting=self.acting, **given.validated_data)).data)


class TenantListView(View):
    permissions = {"GET": "tenant.manage", "POST": "tenant.manage"}
    serializer_class = TenantDetailSerializer
    filters = TenantFilters
    orderings = {"created_at": "created_at", "slug": "slug"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return tenants()

    @extend_schema(operation_id="tenants_list", responses=TenantDetailSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every tenant of the installation, the newest first. For its operator."""
        return self.listing(self.get_queryset(), TenantDetailSerializer)

    @extend_schema(
        operation_id="tenants_create", request=TenantCreateSerializer, responses={201: TenantDetailSerializer}
    )
    def post(self, request: Request) -> Response:
        """Make a tenant. For the operator."""
        given = TenantCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_tenant(acting=self.acting, **given.validated_data)
        return Response(TenantDetailSerializer(made).data, status=201)


class TenantView(View):
    permissions = {"GET": "tenant.manage", "PATCH": "tenant.manage"}
    serializer_class = TenantDetailSerializer
    etagged = True

    @extend_schema(operation_id="tenants_retrieve", responses=TenantDetailSerializer)
    def get(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """One tenant. For the operator."""
        return Response(TenantDetailSerializer(get_tenant(tenant_id)).data)

    @extend_schema(operation_id="tenants_update", request=TenantChangeSerializer, responses=TenantDetailSerializer)
    def patch(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """Change a tenant's weight, limits, name, whether it may join nodes, or its responses show their route. For the operator."""
        given = TenantChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changed = change_tenant(acting=self.acting, tenant_id=tenant_id, **given.validated_data)
        return Response(TenantDetailSerializer(changed).data)


class TenantSuspendView(View):
    permissions = {"POST": "tenant.manage"}
    serializer_class = TenantDetailSerializer

    @extend_schema(operation_id="tenants_suspend", request=None, responses=TenantDetailSerializer)
    def post(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """Refuse the tenant's keys and people, and end what runs for them, within a second. Its data stay. For the operator."""
        changed = set_tenant_suspended(acting=self.acting, tenant_id=tenant_id, suspended=True)
        return Response(TenantDetailSerializer(changed).data)


class TenantResumeView(View):
    permissions = {"POST": "tenant.manage"}
    serializer_class = TenantDetailSerializer

    @extend_schema(operation_id="tenants_resume", request=None, responses=TenantDetailSerializer)
    def post(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """Let a tenant in again that was suspended. For the operator."""
        changed = set_tenant_suspended(acting=self.acting, tenant_id=tenant_id, suspended=False)
        return Response(TenantDetailSerializer(changed).data)
