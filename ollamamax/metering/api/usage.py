"""What the caller's tenant used: its records, and what they sum up to."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.identity.api.base import View
from ollamamax.identity.api.export import FORMATS, PAGE, Export, Row, Unnegotiated
from ollamamax.identity.rights import tenant_of
from ollamamax.metering import access, queries
from ollamamax.metering.models import UsageRecord
from ollamamax.metering.queries import PERIODS, SUBJECTS, Sums
from ollamamax.metering.tables import named, of_tenants, table


class UsageRecordSerializer(serializers.ModelSerializer[UsageRecord]):
    class Meta:
        model = UsageRecord
        exclude = ["tenant"]


class UsageTimeSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class UsageFilterSerializer(UsageTimeSerializer):
    key = serializers.UUIDField(required=False)
    model = serializers.CharField(required=False, max_length=400)
    user = serializers.CharField(required=False, max_length=256)
    node = serializers.UUIDField(required=False)


class UsageGroupingSerializer(UsageFilterSerializer):
    by = serializers.ListField(
        child=serializers.ChoiceField([*PERIODS, *SUBJECTS]),
        min_length=1,
        max_length=2,
        help_text="What the sums are apart for, in turn: as `by=day&by=model`. Times are of UTC.",
    )


class UsageComparingSerializer(UsageGroupingSerializer):
    compare = serializers.BooleanField(
        default=False, help_text="Beside the time before, as long as from `since` to `until`, which both are needed."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        lacking = [name for name in ("since", "until") if attrs["compare"] and name not in attrs]
        if lacking:
            raise serializers.ValidationError({name: ["This is needed to compare."] for name in lacking})
        return attrs


class UsageExportSerializer(UsageGroupingSerializer):
    form = serializers.ChoiceField(FORMATS, default="csv")


class AccessExportSerializer(UsageFilterSerializer):
    form = serializers.ChoiceField(["jsonl", "csv", "cef", "ocsf"], default="jsonl")


class CostSerializer(serializers.Serializer[Any]):
    """Of so many ``requests``, those that had a price; ``currency`` is empty where nobody names one."""

    currency = serializers.CharField(allow_blank=True)
    amount = serializers.DecimalField(max_digits=38, decimal_places=9)
    requests = serializers.IntegerField()


class TotalsSerializer(serializers.Serializer[Any]):
    """``requests`` are those that a node was given. ``failed`` ones are among them; ``refused`` ones, which never came to a
    node, are not. ``costs`` are by the hourly costs of the nodes, ``charges`` by the tenant's price list as it was when each request was
    received: empty where no price counted."""

    requests = serializers.IntegerField()
    refused = serializers.IntegerField()
    failed = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(
        help_text="Of the prompts' tokens those of which engines said that they had kept them from before."
    )
    costs = CostSerializer(many=True)
    charges = CostSerializer(many=True)

    def to_representation(self, instance: Sums) -> dict[str, Any]:
        money = {"costs": _amounts(instance.costs), "charges": _amounts(instance.charges)}
        shown: dict[str, Any] = super().to_representation({**vars(instance), **instance.group, **money})
        return shown


def _amounts(some: Mapping[str, tuple[Decimal, int]]) -> list[dict[str, Any]]:
    return [
        {"currency": currency, "amount": amount, "requests": requests}
        for currency, (amount, requests) in sorted(some.items())
    ]


class UsageGroupSerializer(TotalsSerializer):
    """Of ``month``, ``week`` (from Monday), ``day``, ``hour``, ``model``, ``user``, ``key`` and ``node`` those that were asked for; null is a node that
    there was none. ``key_name`` and ``node_name`` are empty for what is gone. ``before``: what it was in the time before, where that was asked for."""

    month = serializers.DateTimeField(required=False)
    week = serializers.DateTimeField(required=False)
    day = serializers.DateTimeField(required=False)
    hour = serializers.DateTimeField(required=False)
    model = serializers.CharField(required=False)
    user = serializers.CharField(required=False, allow_blank=True)
    key = serializers.UUIDField(required=False)
    key_name = serializers.CharField(required=False, allow_blank=True)
    node = serializers.UUIDField(required=False, allow_null=True)
    node_name = serializers.CharField(required=False, allow_blank=True)
    before = TotalsSerializer(required=False)


class UsageGroupsSerializer(serializers.Serializer[Any]):
    results = UsageGroupSerializer(many=True)


class TenantUsageSerializer(TotalsSerializer):
    tenant = serializers.UUIDField(source="tenant_id")
    tenant_name = serializers.CharField(required=False)


class TenantsUsageSerializer(serializers.Serializer[Any]):
    results = TenantUsageSerializer(many=True)


ENDINGS = {"cef": "access.cef", "ocsf": "access.ocsf.jsonl"}
"""The formats of other programs, and the names of their files."""


def _asked(request: Request, form: type[serializers.Serializer[Any]] = UsageFilterSerializer) -> dict[str, Any]:
    given = form(data=request.query_params)
    given.is_valid(raise_exception=True)
    asked: dict[str, Any] = given.validated_data
    return asked


class UsageView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = UsageRecordSerializer
    filters = UsageFilterSerializer
    ordering = ("-received_at", "-request")

    @extend_schema(operation_id="usage_list", responses=UsageRecordSerializer(many=True))
    def get(self, request: Request) -> Response:
        """One record for each request, the newest first."""
        page = self.paginate_queryset(queries.usage(**self.asked()))
        return self.get_paginated_response(UsageRecordSerializer(page, many=True).data)


class UsageTotalsView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = TotalsSerializer

    @extend_schema(operation_id="usage_totals", parameters=[UsageFilterSerializer], responses=TotalsSerializer)
    def get(self, request: Request) -> Response:
        """Sums over the records that match."""
        return Response(TotalsSerializer(queries.totals(**_asked(request))).data)


class UsageGroupsView(View):
    permissions = {"GET": "usage.view"}
    serializer_class = UsageGroupsSerializer
    pagination_class = None

    @extend_schema(operation_id="usage_groups", parameters=[UsageComparingSerializer], responses=UsageGroupsSerializer)
    def get(self, request: Request) -> Response:
        """Sums over the records that match, apart by month, week, day, hour, model, user, key or node, or by two of these."""
        asked = _asked(request, UsageComparingSerializer)
        if asked.pop("compare"):
            both = queries.compared(**asked)
            found = named([now for now, _ in both])
            for (now, before), group in zip(both, found, strict=True):
                now.group = {**group.group, "before": before}
        else:
            found = named(queries.groups(**asked))
        return Response(UsageGroupsSerializer({"results": found}).data)


class UsageExportView(View):
    permissions = {"GET": "usage.view"}
    content_negotiation_class = Unnegotiated
    pagination_class = None

    @extend_schema(
        operation_id="usage_export",
        parameters=[UsageExportSerializer],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/jsonl"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> Export:
        """The sums of `usage_groups` as a file. Costs and charges have a column for each currency."""
        asked = _asked(request, UsageExportSerializer)
        form = asked.pop("form")
        columns, rows = table(asked["by"], named(queries.groups(**asked)))
        return Export("usage", form, columns, lambda last: rows if last is None else [], self.acting.tenant or "")


class AccessExportView(View):
    permissions = {"GET": "usage.view"}
    content_negotiation_class = Unnegotiated
    pagination_class = None

    @extend_schema(
        operation_id="usage_access",
        parameters=[AccessExportSerializer],
        responses={
            (200, "application/jsonl"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "text/plain"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> Export:
        """Who used which model by which key: one line for each request, the oldest first, also as the audit trail is written (`cef`, `ocsf`)."""
        asked = _asked(request, AccessExportSerializer)
        form = asked.pop("form")
        rows = queries.usage(**asked)

        def page(last: Row | None) -> list[Row]:
            return access.named(list(queries.usage_after(rows, last).values(*access.READ)[:PAGE]))

        tenant = tenant_of(self.acting).hex
        if form in ENDINGS:
            release = version("ollamamax")
            return Export(
                ENDINGS[form],
                "jsonl",
                access.COLUMNS,
                page,
                tenant,
                lambda row: access.as_line(row, form, release, tenant),
            )
        return Export("access", form, access.COLUMNS, page, tenant)


class TenantsUsageView(View):
    permissions = {"GET": "tenant.manage"}
    serializer_class = TenantsUsageSerializer
    pagination_class = None

    @extend_schema(operation_id="usage_tenants", parameters=[UsageTimeSerializer], responses=TenantsUsageSerializer)
    def get(self, request: Request) -> Response:
        """Sums over the records of each tenant. For the operator."""
        return Response(TenantsUsageSerializer({"results": of_tenants(**_asked(request, UsageTimeSerializer))}).data)
