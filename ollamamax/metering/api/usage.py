"""What the caller's tenant used."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.metering import queries
from ollamamax.metering.models import UsageRecord


class UsageRecordSerializer(serializers.ModelSerializer[UsageRecord]):
    class Meta:
        model = UsageRecord
        exclude = ["tenant", "route"]


class UsageFilterSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    key = serializers.UUIDField(required=False)
    model = serializers.CharField(required=False, max_length=400)


class TotalsSerializer(serializers.Serializer[Any]):
    requests = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()


def _asked(request: Request) -> QuerySet[UsageRecord]:
    given = UsageFilterSerializer(data=request.query_params)
    given.is_valid(raise_exception=True)
    return queries.usage(**given.validated_data)


class UsageView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = UsageRecordSerializer
    ordering = ("-received_at", "-request")

    @extend_schema(
        operation_id="usage_list",
        parameters=[UsageFilterSerializer],
        responses=UsageRecordSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """One record for each request, the newest first."""
        page = self.paginate_queryset(_asked(request))
        return self.get_paginated_response(UsageRecordSerializer(page, many=True).data)


class UsageTotalsView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = TotalsSerializer

    @extend_schema(operation_id="usage_totals", parameters=[UsageFilterSerializer], responses=TotalsSerializer)
    def get(self, request: Request) -> Response:
        """Sums over the records that match."""
        return Response(queries.totals(_asked(request)))
