"""Members of the caller's tenant."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.member import change_member, remove_member
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import MemberFilters
from ollamamax.identity.api.serializers import MemberChangeSerializer, MemberSerializer
from ollamamax.identity.queries.member import get_member, members
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import tenant_of


class MemberListView(View):
    permissions = {"GET": "member.view"}
    serializer_class = MemberSerializer
    filters = MemberFilters
    orderings = {"created_at": "created_at", "email": "user__email"}

    def get_queryset(self) -> QuerySet[Any]:
        return members()

    @extend_schema(operation_id="members_list", responses=MemberSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's members in whatever state, the newest first."""
        return self.listing(self.get_queryset(), MemberSerializer)


class MemberView(View):
    permissions = {"GET": "member.view", "PATCH": "member.manage", "DELETE": "member.manage"}
    serializer_class = MemberSerializer
    etagged = True
    volatile = frozenset({"last_log_in_at", "last_log_in_method"})

    @extend_schema(operation_id="members_retrieve", responses=MemberSerializer)
    def get(self, request: Request, membership_id: uuid.UUID) -> Response:
        """One member."""
        return Response(MemberSerializer(get_member(membership_id)).data)

    @extend_schema(operation_id="members_update", request=MemberChangeSerializer, responses=MemberSerializer)
    def patch(self, request: Request, membership_id: uuid.UUID) -> Response:
        """Give a member another role, or suspend the membership: their keys follow within a second. Owners are changed by owners."""
        given = MemberChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        member = get_member(membership_id)
        tenant = get_tenant(tenant_of(self.acting))
        change_member(acting=self.acting, tenant=tenant, user_id=member.user_id, **given.validated_data)
        return Response(MemberSerializer(get_member(membership_id)).data)

    @extend_schema(operation_id="members_destroy", responses={204: None})
    def delete(self, request: Request, membership_id: uuid.UUID) -> Response:
        """End a membership, and what runs with the keys that the member made here."""
        member = get_member(membership_id)
        remove_member(acting=self.acting, tenant=get_tenant(tenant_of(self.acting)), user=member.user)
        return Response(status=204)
