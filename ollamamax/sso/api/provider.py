"""Identity providers of the caller's tenant: kept, tried out, and their rules run dry."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.identity.models import User
from ollamamax.identity.queries.role import find_role
from ollamamax.kernel.errors import Forbidden, NotFound, Unavailable
from ollamamax.sso import dry_run
from ollamamax.sso.actions.provider import change_provider, create_provider, delete_provider
from ollamamax.sso.api.browser import begin_at
from ollamamax.sso.api.returning import TEST, TESTED
from ollamamax.sso.api.serializers import (
    DryRunCreateSerializer,
    DryRunSerializer,
    IdentityProviderChangeSerializer,
    IdentityProviderCreateSerializer,
    IdentityProviderFilters,
    IdentityProviderSerializer,
    LeadSerializer,
    ProviderTestSerializer,
)
from ollamamax.sso.queries.provider import get_provider, providers, rules_of
from ollamamax.sso.refusals import SsoRefused


class IdentityProviderListView(View):
    permissions = {"GET": "sso.view", "POST": "sso.manage"}
    serializer_class = IdentityProviderSerializer
    filters = IdentityProviderFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return providers()

    @extend_schema(operation_id="sso_providers_list", responses=IdentityProviderSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's identity providers, the newest first."""
        return self.listing(self.get_queryset(), IdentityProviderSerializer)

    @extend_schema(
        operation_id="sso_providers_create",
        request=IdentityProviderCreateSerializer,
        responses={201: IdentityProviderSerializer},
    )
    def post(self, request: Request) -> Response:
        """Set up an identity provider, with roles that the caller may give."""
        given = IdentityProviderCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_provider(acting=self.acting, **given.validated_data)
        return Response(IdentityProviderSerializer(get_provider(made.pk)).data, status=201)


class IdentityProviderView(View):
    permissions = {"GET": "sso.view", "PATCH": "sso.manage", "DELETE": "sso.manage"}
    serializer_class = IdentityProviderSerializer
    etagged = True

    @extend_schema(operation_id="sso_providers_retrieve", responses=IdentityProviderSerializer)
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """One identity provider."""
        return Response(IdentityProviderSerializer(get_provider(provider_id)).data)

    @extend_schema(
        operation_id="sso_providers_update",
        request=IdentityProviderChangeSerializer,
        responses=IdentityProviderSerializer,
    )
    def patch(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Change an identity provider; rules are replaced as a whole, and count from each person's next log-in on."""
        given = IdentityProviderChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_provider(acting=self.acting, provider_id=provider_id, **given.validated_data)
        return Response(IdentityProviderSerializer(get_provider(provider_id)).data)

    @extend_schema(operation_id="sso_providers_destroy", responses={204: None})
    def delete(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Delete an identity provider: whoever came by it acts in the tenant no more. Users and memberships stay."""
        delete_provider(acting=self.acting, provider_id=provider_id)
        return Response(status=204)


class DryRunView(View):
    permissions = {"POST": "sso.view"}
    serializer_class = DryRunSerializer

    @extend_schema(operation_id="sso_providers_dry_run", request=DryRunCreateSerializer, responses=DryRunSerializer)
    def post(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Who would get another role by these rules, by what the provider said of each at their last log-in. Changes nothing."""
        given = DryRunCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        provider = get_provider(provider_id)
        rules = given.validated_data.get("rules", rules_of(provider))
        default = provider.default_role.slug if provider.default_role else None
        default = given.validated_data.get("default_role", default) or ""
        for slug in {each.role for each in rules} | ({default} if default else set()):
            find_role(slug)
        return Response(DryRunSerializer(dry_run.dry_run(provider, rules, default)).data)


class ProviderTestView(View):
    permissions = {"GET": "sso.manage", "POST": "sso.manage"}
    serializer_class = ProviderTestSerializer
    pagination_class = None

    @extend_schema(operation_id="sso_providers_tested", responses=ProviderTestSerializer)
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """What the last test of this session received."""
        found = request._request.session.get(TESTED, {})
        if found.get("provider") != provider_id.hex:
            raise NotFound("This session has not tested the provider.")
        return Response(ProviderTestSerializer(found).data, headers={"Cache-Control": "no-store"})

    @extend_schema(operation_id="sso_providers_test", request=None, responses=LeadSerializer)
    def post(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Begin a log-in that makes nothing, and shows each claim that comes. For a browser's session."""
        if not isinstance(request.user, User):
            raise Forbidden("A key has no session: this is for who logged in.")
        provider = get_provider(provider_id)
        try:
            return Response({"url": begin_at(request._request, provider, mode=TEST)})
        except SsoRefused as refused:
            raise Unavailable(f"The provider cannot be used: {refused.detail}", why=str(refused.why)) from refused
