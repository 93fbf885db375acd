"""What the caller's tenant asks of its members, whom it makes an exception for, and which domains are its own."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import tenant_of
from ollamamax.sso.actions.domain import add_domain, remove_domain, verify_domain
from ollamamax.sso.actions.enforcement import mark_account, set_enforced, unmark_account
from ollamamax.sso.api.serializers import (
    BreakGlassCreateSerializer,
    BreakGlassFilters,
    BreakGlassSerializer,
    EmailDomainCreateSerializer,
    EmailDomainFilters,
    EmailDomainSerializer,
    SsoPolicyChangeSerializer,
    SsoPolicySerializer,
)
from ollamamax.sso.queries.enforcement import break_glass_accounts, domains, get_account, get_domain


class SsoPolicyView(View):
    permissions = {"GET": "sso.view", "PATCH": "sso.manage"}
    serializer_class = SsoPolicySerializer
    etagged = True

    @extend_schema(operation_id="sso_policy_retrieve", responses=SsoPolicySerializer)
    def get(self, request: Request) -> Response:
        """Whether the tenant asks for single sign-on, and the address to log in at."""
        return Response(SsoPolicySerializer(get_tenant(tenant_of(self.acting))).data)

    @extend_schema(operation_id="sso_policy_update", request=SsoPolicyChangeSerializer, responses=SsoPolicySerializer)
    def patch(self, request: Request) -> Response:
        """Ask for single sign-on, or not: passwords are refused within a second, but for break-glass accounts."""
        given = SsoPolicyChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(SsoPolicySerializer(set_enforced(acting=self.acting, **given.validated_data)).data)


class BreakGlassListView(View):
    permissions = {"GET": "sso.view", "POST": "sso.manage"}
    serializer_class = BreakGlassSerializer
    filters = BreakGlassFilters
    orderings = {"created_at": "created_at", "email": "user__email"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return break_glass_accounts()

    @extend_schema(operation_id="sso_break_glass_list", responses=BreakGlassSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Accounts whose password is taken, though the tenant asks for single sign-on."""
        return self.listing(self.get_queryset(), BreakGlassSerializer)

    @extend_schema(
        operation_id="sso_break_glass_create",
        request=BreakGlassCreateSerializer,
        responses={201: BreakGlassSerializer},
    )
    def post(self, request: Request) -> Response:
        """Mark a member with a password. By an owner."""
        given = BreakGlassCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = mark_account(acting=self.acting, membership_id=given.validated_data["member"])
        return Response(BreakGlassSerializer(get_account(made.pk)).data, status=201)


class BreakGlassView(View):
    permissions = {"GET": "sso.view", "DELETE": "sso.manage"}
    serializer_class = BreakGlassSerializer
    etagged = True

    @extend_schema(operation_id="sso_break_glass_retrieve", responses=BreakGlassSerializer)
    def get(self, request: Request, account_id: uuid.UUID) -> Response:
        """One break-glass account."""
        return Response(BreakGlassSerializer(get_account(account_id)).data)

    @extend_schema(operation_id="sso_break_glass_destroy", responses={204: None})
    def delete(self, request: Request, account_id: uuid.UUID) -> Response:
        """Take its password no more than others'. By an owner."""
        unmark_account(acting=self.acting, account_id=account_id)
        return Response(status=204)


class EmailDomainListView(View):
    permissions = {"GET": "sso.view", "POST": "sso.manage"}
    serializer_class = EmailDomainSerializer
    filters = EmailDomainFilters
    orderings = {"created_at": "created_at", "domain": "domain"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return domains()

    @extend_schema(operation_id="sso_domains_list", responses=EmailDomainSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Domains of e-mail addresses that the tenant names as its own, verified or not."""
        return self.listing(self.get_queryset(), EmailDomainSerializer)

    @extend_schema(
        operation_id="sso_domains_create", request=EmailDomainCreateSerializer, responses={201: EmailDomainSerializer}
    )
    def post(self, request: Request) -> Response:
        """Name a domain; it counts once it is verified."""
        given = EmailDomainCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = add_domain(acting=self.acting, **given.validated_data)
        return Response(EmailDomainSerializer(made).data, status=201)


class EmailDomainView(View):
    permissions = {"GET": "sso.view", "DELETE": "sso.manage"}
    serializer_class = EmailDomainSerializer
    etagged = True

    @extend_schema(operation_id="sso_domains_retrieve", responses=EmailDomainSerializer)
    def get(self, request: Request, domain_id: uuid.UUID) -> Response:
        """One domain."""
        return Response(EmailDomainSerializer(get_domain(domain_id)).data)

    @extend_schema(operation_id="sso_domains_destroy", responses={204: None})
    def delete(self, request: Request, domain_id: uuid.UUID) -> Response:
        """Make no more accounts under its addresses; those that there are stay."""
        remove_domain(acting=self.acting, domain_id=domain_id)
        return Response(status=204)


class EmailDomainVerifyView(View):
    permissions = {"POST": "sso.manage"}
    serializer_class = EmailDomainSerializer

    @extend_schema(operation_id="sso_domains_verify", request=None, responses=EmailDomainSerializer)
    def post(self, request: Request, domain_id: uuid.UUID) -> Response:
        """Look whether the domain's web server shows the token. Whoever runs the installation is believed without."""
        return Response(EmailDomainSerializer(verify_domain(acting=self.acting, domain_id=domain_id)).data)
