"""The caller's own tenant, and all tenants for the operator."""

from __future__ import annotations

import uuid
from importlib.metadata import version
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.tenant import (
    change_own_tenant,
    change_tenant,
    create_tenant,
    set_tenant_suspended,
)
from ollamamax.identity.actions.tenant_deletion import ask_deletion, begin_export, keep_tenant
from ollamamax.identity.api.archive import archive
from ollamamax.identity.api.base import SIGNED_IN, View
from ollamamax.identity.api.export import Streamed, Unnegotiated
from ollamamax.identity.api.filters import TenantFilters
from ollamamax.identity.api.serializers import (
    OwnTenantChangeSerializer,
    TenantChangeSerializer,
    TenantCreateSerializer,
    TenantDeletionSerializer,
    TenantDetailSerializer,
)
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import leaving_tenants_of
from ollamamax.identity.queries.tenant import get_tenant, tenants
from ollamamax.identity.queries.tenant_export import files_of
from ollamamax.identity.sessions import log_in_of, refusal
from ollamamax.kernel.errors import Forbidden, NotFound


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


class TenantDeletionView(View):
    permissions = {"POST": SIGNED_IN, "DELETE": SIGNED_IN}
    serializer_class = TenantDetailSerializer

    @extend_schema(
        operation_id="tenants_ask_deletion", request=TenantDeletionSerializer, responses=TenantDetailSerializer
    )
    def post(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """Suspend the tenant, and remove everything of it when its grace is over. For its owners, and for the operator."""
        given = TenantDeletionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        require_way_in(request, tenant_id)
        changed = ask_deletion(acting=self.acting, tenant_id=tenant_id, **given.validated_data)
        return Response(TenantDetailSerializer(changed).data)

    @extend_schema(operation_id="tenants_keep", request=None, responses=TenantDetailSerializer)
    def delete(self, request: Request, tenant_id: uuid.UUID) -> Response:
        """Take the deletion back, while its time has not come. For its owners, and for the operator."""
        require_way_in(request, tenant_id)
        return Response(TenantDetailSerializer(keep_tenant(acting=self.acting, tenant_id=tenant_id)).data)


class TenantExportView(View):
    permissions = {"GET": SIGNED_IN}
    content_negotiation_class = Unnegotiated
    pagination_class = None

    @extend_schema(operation_id="tenants_export", responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, tenant_id: uuid.UUID) -> Streamed:
        """All that the tenant takes with it, without secrets: a ZIP file of JSON Lines. For its owners, and for the operator while it is to be deleted."""
        require_way_in(request, tenant_id)
        tenant = begin_export(acting=self.acting, tenant_id=tenant_id)
        about = {
            "tenant": str(tenant.id),
            "slug": tenant.slug,
            "name": tenant.name,
            "made_at": timezone.now().isoformat(timespec="seconds"),
            "release": version("ollamamax"),
        }
        return Streamed(archive(files_of(tenant.id.hex), about), f"{tenant.slug}.zip", "application/zip")


def require_way_in(request: Request, tenant_id: uuid.UUID) -> None:
    """A tenant that nobody acts in any more still says how its owners must have logged in. Raises `Forbidden`."""
    if not isinstance(request.user, User):
        return
    for place in leaving_tenants_of(request.user):
        why = refusal(log_in_of(request.session), place) if place.id == tenant_id else None
        if why is not None:
            raise Forbidden(why, tenant=place.slug)
