"""Workloads that the caller's tenant trusts."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ReachSerializer
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.oauth.actions.workload import (
    LONGEST_AUDIENCE,
    LONGEST_ISSUER,
    LONGEST_REFRESH,
    create_workload,
    delete_workload,
)
from ollamamax.oauth.queries.workload import get_workload, workloads
from ollamamax.oauth.workload_claims import LONGEST_CLAIM, LONGEST_PATTERN, MOST_RULES


class ClaimRuleSerializer(serializers.Serializer[Any]):
    claim = serializers.CharField(max_length=LONGEST_CLAIM, help_text="Such as sub; a/b is the claim b within a.")
    pattern = serializers.CharField(max_length=LONGEST_PATTERN, help_text="What it must be; * stands for anything.")

    def to_representation(self, value: Any) -> Any:
        return {"claim": value[0], "pattern": value[1]}


class WorkloadSerializer(serializers.Serializer[Any]):
    """A program elsewhere that may ask for access tokens by its issuer's word. Its limits, permissions and reach are those of its key."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(read_only=True)
    key = serializers.UUIDField(source="key_id", read_only=True)
    issuer = serializers.CharField(read_only=True)
    audience = serializers.CharField(read_only=True)
    rules = ClaimRuleSerializer(many=True, read_only=True)
    refresh_seconds = serializers.IntegerField(read_only=True)
    created_by_name = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    revoked_at = serializers.DateTimeField(
        source="key.revoked_at", read_only=True, allow_null=True, help_text="Since when its key is of no use."
    )


class WorkloadCreateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    service_account = serializers.UUIDField(help_text="As which it acts.")
    issuer = serializers.CharField(
        max_length=LONGEST_ISSUER, help_text="Exactly as its tokens name it; below it is its configuration (OpenID)."
    )
    audience = serializers.CharField(max_length=LONGEST_AUDIENCE, help_text="For whom its tokens must be.")
    rules = serializers.ListField(child=ClaimRuleSerializer(), allow_empty=False, max_length=MOST_RULES)
    permissions = serializers.ListField(
        child=serializers.ChoiceField(choices=sorted(PERMISSIONS)),
        required=False,
        allow_empty=False,
        max_length=len(PERMISSIONS),
    )
    reach = ReachSerializer(required=False)
    refresh_seconds = serializers.IntegerField(
        min_value=0,
        max_value=LONGEST_REFRESH,
        required=False,
        help_text="For how long after its issuer's word it may go on by refresh tokens; 0, which it is unless said, for not at all.",
    )

    def validate_rules(self, rules: Any) -> list[tuple[str, str]]:
        return [(rule["claim"], rule["pattern"]) for rule in rules]


class WorkloadFilters(serializers.Serializer[Any]):
    created_by = serializers.UUIDField(
        required=False, source="key__created_by", help_text="The user of the service account as which it acts."
    )


class WorkloadListView(View):
    permissions = {"GET": "key.view", "POST": "key.manage"}
    serializer_class = WorkloadSerializer
    filters = WorkloadFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return workloads()

    @extend_schema(operation_id="workloads_list", responses=WorkloadSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tenant's workloads, the newest first."""
        return self.listing(self.get_queryset(), WorkloadSerializer)

    @extend_schema(
        operation_id="workloads_create", request=WorkloadCreateSerializer, responses={201: WorkloadSerializer}
    )
    def post(self, request: Request) -> Response:
        """Trust a program by what its own issuer says of it; it gets a key of a service account of which nobody has the secret."""
        given = WorkloadCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(
            WorkloadSerializer(create_workload(acting=self.acting, **given.validated_data)).data, status=201
        )


class WorkloadView(View):
    permissions = {"GET": "key.view", "DELETE": "key.manage"}
    serializer_class = WorkloadSerializer
    etagged = True
    volatile = frozenset({"used_at"})

    @extend_schema(operation_id="workloads_retrieve", responses=WorkloadSerializer)
    def get(self, request: Request, workload_id: uuid.UUID) -> Response:
        """One workload."""
        return Response(WorkloadSerializer(get_workload(workload_id)).data)

    @extend_schema(operation_id="workloads_destroy", responses={204: None})
    def delete(self, request: Request, workload_id: uuid.UUID) -> Response:
        """Trust it no more: its key is revoked, and its tokens are refused everywhere within a second."""
        delete_workload(acting=self.acting, workload_id=workload_id)
        return Response(status=204)
