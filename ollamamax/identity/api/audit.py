"""The audit trail of the caller's tenant, and for the operator that of the installation: search, export, verify."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.audit import queries
from ollamamax.audit.actions import SYSTEM, chain_of
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.api.base import View
from ollamamax.identity.api.export import FORMATS, PAGE, Export, Row, Unnegotiated
from ollamamax.identity.rights import require, tenant_of
from ollamamax.kernel.principal import Principal

COLUMNS = (
    "seq",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "action",
    "target_type",
    "target_id",
    "request",
    "detail",
    "hash",
)


class AuditRecordSerializer(serializers.ModelSerializer[AuditRecord]):
    """``seq`` numbers the chain's records from 1 without a hole; ``hash`` covers every other field and the hash before."""

    detail = serializers.JSONField(read_only=True)

    class Meta:
        model = AuditRecord
        fields = [*COLUMNS, "prev_hash"]
        read_only_fields = fields


class ChainSerializer(serializers.Serializer[Any]):
    chain = serializers.ChoiceField(
        ["tenant", SYSTEM], default="tenant", help_text="`system` is of the installation, for its operator."
    )


class AuditFilters(ChainSerializer):
    """``action`` is how it begins: ``key.`` finds all that was done to keys."""

    since = serializers.DateTimeField(required=False, source="at__gte")
    until = serializers.DateTimeField(required=False, source="at__lt")
    action = serializers.RegexField(r"^[a-z_.]{1,64}$", required=False, source="action__startswith")
    actor = serializers.CharField(
        required=False, max_length=300, source="actor_name__icontains", help_text="A part of the name."
    )
    actor_id = serializers.CharField(required=False, max_length=64)
    target_type = serializers.CharField(required=False, max_length=64)
    target_id = serializers.CharField(required=False, max_length=200)
    request = serializers.CharField(required=False, max_length=64)
    search = serializers.CharField(
        required=False,
        max_length=200,
        help_text="A part of the actor's name, of the action, of the target's id or of what was changed.",
    )


class AuditExportSerializer(AuditFilters):
    form = serializers.ChoiceField(FORMATS, default="jsonl")


class VerifySerializer(ChainSerializer):
    begin = serializers.IntegerField(min_value=1, max_value=1 << 62, default=1, help_text="The first number to check.")


class AuditProblemSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    what = serializers.CharField()


class VerifiedSerializer(serializers.Serializer[Any]):
    """Numbers ``begin`` to ``end`` were checked; ``next`` is where to go on, null at the end of the chain. ``problems`` names 100 at most."""

    begin = serializers.IntegerField()
    end = serializers.IntegerField()
    last = serializers.IntegerField(help_text="The number of the chain's last record; 0 for an empty chain.")
    next = serializers.IntegerField(allow_null=True)
    intact = serializers.BooleanField()
    problems = AuditProblemSerializer(many=True)


class AuditView(View):
    permissions = {"GET": "audit.view"}
    serializer_class = AuditRecordSerializer
    filters = AuditFilters
    ordering = "-seq"

    def get_queryset(self) -> QuerySet[Any]:
        return queries.records(chain_of(self.acting.tenant))

    @extend_schema(operation_id="audit_list", responses=AuditRecordSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Who did what to what, the newest first."""
        asked = self.asked()
        rows = _matching(self.acting, asked)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(AuditRecordSerializer(page, many=True).data)


_SEQ = {"type": "integer", "minimum": 1, "maximum": (1 << 63) - 1}


class AuditRecordView(View):
    permissions = {"GET": "audit.view"}
    serializer_class = AuditRecordSerializer

    @extend_schema(
        operation_id="audit_retrieve",
        parameters=[ChainSerializer, OpenApiParameter("seq", _SEQ, OpenApiParameter.PATH)],
        responses=AuditRecordSerializer,
    )
    def get(self, request: Request, seq: int) -> Response:
        """One record of the trail."""
        given = ChainSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = queries.get_record(_chain(self.acting, given.validated_data["chain"]), seq)
        return Response(AuditRecordSerializer(found).data)


class AuditExportView(View):
    permissions = {"GET": "audit.view"}
    content_negotiation_class = Unnegotiated
    pagination_class = None

    @extend_schema(
        operation_id="audit_export",
        parameters=[AuditExportSerializer],
        responses={(200, "application/jsonl"): OpenApiTypes.STR, (200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> Export:
        """The records that match as a file, the oldest first, written while it is sent."""
        given = AuditExportSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        form = asked.pop("form")
        rows = _matching(self.acting, asked).order_by("seq")

        def page(last: Row | None) -> list[Row]:
            later = rows if last is None else rows.filter(seq__gt=last["seq"])
            return [dict(row) for row in later.values(*COLUMNS)[:PAGE]]

        return Export("audit", form, COLUMNS, page, tenant_of(self.acting).hex)


class AuditVerifyView(View):
    permissions = {"GET": "audit.view"}
    serializer_class = VerifiedSerializer
    pagination_class = None

    @extend_schema(operation_id="audit_verify", parameters=[VerifySerializer], responses=VerifiedSerializer)
    def get(self, request: Request) -> Response:
        """Compute the hashes of 5,000 records anew; go on at `next` until it is null."""
        given = VerifySerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        found = queries.verify_segment(
            _chain(self.acting, given.validated_data["chain"]), given.validated_data["begin"]
        )
        shown = {
            **found._asdict(),
            "next": found.end + 1 if 0 < found.end < found.last else None,
            "intact": not found.problems,
            "problems": [{"seq": each.seq, "what": each.what} for each in found.problems],
        }
        return Response(VerifiedSerializer(shown).data)


def _matching(acting: Principal, asked: dict[str, Any]) -> QuerySet[AuditRecord]:
    """The records that a request's parameters name. Takes ``chain`` and ``search`` out of them."""
    text = asked.pop("search", None)
    rows = queries.records(_chain(acting, asked.pop("chain"))).filter(**asked)
    return rows if text is None else queries.mentioning(rows, text)


def _chain(acting: Principal, chosen: str) -> str:
    """Raises `Forbidden` for the installation's, unless its operator asks."""
    if chosen == SYSTEM:
        require(acting, "tenant.manage")
        return SYSTEM
    return chain_of(tenant_of(acting))
