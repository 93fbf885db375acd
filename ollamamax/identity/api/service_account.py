"""Service accounts of the caller's tenant. Their keys are issued with the others, at ``/api/v1/keys``."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.actions.service_account import (
    change_service_account,
    create_service_account,
    delete_service_account,
)
from ollamamax.identity.api.base import View
from ollamamax.identity.api.filters import ServiceAccountFilters
from ollamamax.identity.api.serializers import MEMBER_STATES, ChangeSerializer
from ollamamax.identity.models import ServiceAccount, Team
from ollamamax.identity.queries import service_account as queries


class ServiceAccountSerializer(serializers.ModelSerializer[ServiceAccount]):
    """A program as a member: with a role, grants, teams and keys of its own. It never logs in."""

    member = serializers.UUIDField(source="membership_id", help_text="The id of its membership, for teams and grants.")
    user = serializers.UUIDField(source="membership.user_id", help_text="What its keys have as created_by.")
    role = serializers.CharField(source="membership.role.slug", help_text="The slug of the role.")
    state = serializers.CharField(source="membership.state")
    team: serializers.SlugRelatedField[Team] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True, allow_null=True, help_text="The slug of the team that manages its keys."
    )

    class Meta:
        model = ServiceAccount
        fields = [
            *("id", "name", "description", "member", "user", "role", "state", "team"),
            *("created_by_name", "created_at", "changed_at"),
        ]
        read_only_fields = fields


def _team() -> serializers.CharField:
    return serializers.CharField(
        max_length=63, required=False, allow_null=True, help_text="The slug of the team that manages its keys."
    )


class ServiceAccountCreateSerializer(serializers.Serializer[Any]):
    name = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    role = serializers.CharField(max_length=63, help_text="The slug of a role.")
    team = _team()


class ServiceAccountChangeSerializer(ChangeSerializer):
    description = serializers.CharField(max_length=300, required=False, allow_blank=True)
    role = serializers.CharField(max_length=63, required=False, help_text="The slug of a role.")
    team = _team()
    state = serializers.ChoiceField(choices=MEMBER_STATES, required=False)


class ServiceAccountListView(View):
    permissions = {"GET": "member.view", "POST": "member.manage"}
    serializer_class = ServiceAccountSerializer
    filters = ServiceAccountFilters
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.service_accounts()

    @extend_schema(operation_id="service_accounts_list", responses=ServiceAccountSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's service accounts, the newest first."""
        return self.listing(self.get_queryset(), ServiceAccountSerializer)

    @extend_schema(
        operation_id="service_accounts_create",
        request=ServiceAccountCreateSerializer,
        responses={201: ServiceAccountSerializer},
    )
    def post(self, request: Request) -> Response:
        """Make a service account, with a role that is never more than the caller's own. It has no key yet."""
        given = ServiceAccountCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_service_account(acting=self.acting, **given.validated_data)
        return Response(ServiceAccountSerializer(queries.get_service_account(made.id)).data, status=201)


class ServiceAccountView(View):
    permissions = {"GET": "member.view", "PATCH": "member.manage", "DELETE": "member.manage"}
    serializer_class = ServiceAccountSerializer
    etagged = True

    @extend_schema(operation_id="service_accounts_retrieve", responses=ServiceAccountSerializer)
    def get(self, request: Request, account_id: uuid.UUID) -> Response:
        """One service account."""
        return Response(ServiceAccountSerializer(queries.get_service_account(account_id)).data)

    @extend_schema(
        operation_id="service_accounts_update",
        request=ServiceAccountChangeSerializer,
        responses=ServiceAccountSerializer,
    )
    def patch(self, request: Request, account_id: uuid.UUID) -> Response:
        """Change a service account; suspended, its keys are refused within a second."""
        given = ServiceAccountChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_service_account(acting=self.acting, account_id=account_id, **given.validated_data)
        return Response(ServiceAccountSerializer(queries.get_service_account(account_id)).data)

    @extend_schema(operation_id="service_accounts_destroy", responses={204: None})
    def delete(self, request: Request, account_id: uuid.UUID) -> Response:
        """Delete a service account and revoke its keys for ever."""
        delete_service_account(acting=self.acting, account_id=account_id)
        return Response(status=204)
