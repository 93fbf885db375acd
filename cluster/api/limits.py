"""The limits of the caller's tenant and of its keys, each with what is used of it at this moment."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.queries.limits import use_of
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import LimitsSerializer
from ollamamax.identity.models import ApiKey, Priority
from ollamamax.identity.queries.key import keys_of_tenant
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.kernel.errors import NotFound


class LimitUseSerializer(serializers.Serializer[Any]):
    """In the unit of each limit: what is taken of the last minute's worth, and how many requests are under way. null where there is no limit."""

    requests_per_minute = serializers.FloatField(allow_null=True)
    tokens_per_minute = serializers.FloatField(allow_null=True)
    input_tokens_per_minute = serializers.FloatField(allow_null=True)
    output_tokens_per_minute = serializers.FloatField(allow_null=True)
    concurrent_requests = serializers.FloatField(allow_null=True)


class TenantLimitsSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    weight = serializers.FloatField(help_text="The tenant's share of what all wait for.")
    limits = LimitsSerializer(source="*")
    used = LimitUseSerializer()


class KeyLimitsSerializer(serializers.Serializer[Any]):
    """``used`` as of the tenant; a key's requests count for its tenant too."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    identifier = serializers.CharField()
    priority = serializers.ChoiceField(Priority.choices)
    limits = LimitsSerializer(source="*")
    used = serializers.SerializerMethodField()

    @extend_schema_field(LimitUseSerializer)
    def get_used(self, key: ApiKey) -> Any:
        return self.context["used"][key.pk.hex]


class KeyLimitsFilters(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")


class TenantLimitsView(View):
    permissions = {"GET": "key.view"}
    serializer_class = TenantLimitsSerializer

    @extend_schema(operation_id="limits_retrieve", responses=TenantLimitsSerializer)
    def get(self, request: Request) -> Response:
        """How much the caller's tenant may ask for, and how much of it is used now."""
        if self.acting.tenant is None:
            raise NotFound("You are a member of no tenant.")
        tenant: Any = get_tenant(uuid.UUID(self.acting.tenant))
        tenant.used = use_of({tenant.pk.hex: tenant.limits})[tenant.pk.hex]
        return Response(TenantLimitsSerializer(tenant).data, headers={"Cache-Control": "no-store"})


class KeyLimitsView(View):
    permissions = {"GET": "key.view"}
    serializer_class = KeyLimitsSerializer
    filters = KeyLimitsFilters
    orderings = {"created_at": "created_at", "name": "name"}

    def get_queryset(self) -> QuerySet[Any]:
        return keys_of_tenant().filter(revoked_at=None)

    @extend_schema(operation_id="limits_keys_list", responses=KeyLimitsSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Keys that are not revoked, with how much each may ask for and how much of it is used now."""
        return self.listing(
            self.get_queryset(),
            KeyLimitsSerializer,
            lambda page: {"used": use_of({key.pk.hex: key.limits for key in page})},
        )
