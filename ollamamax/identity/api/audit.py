"""The audit trail of the caller's tenant, and for the operator that of the installation: search, export, verify."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.audit import queries
from ollamamax.audit.actions import chain_of
from ollamamax.audit.formats import as_text
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.notes import trusted_keys
from ollamamax.audit.personal import opened, opened_rows
from ollamamax.identity.api.audit_keeping import ChainSerializer, chosen_chain
from ollamamax.identity.api.base import View
from ollamamax.identity.api.export import PAGE, Export, Row, Unnegotiated
from ollamamax.identity.rights import tenant_of
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
    "address",
    "outcome",
    "detail",
    "format",
    "hash",
)
READ = (*(set(COLUMNS) - {"address"}), "chain", "personal")
"""The columns of the table that an export needs, before what is personal is opened."""


ENDINGS = {"cef": "audit.cef", "ocsf": "audit.ocsf.jsonl"}
"""The formats of other programs, and the names of their files."""


class AuditRecordSerializer(serializers.ModelSerializer[AuditRecord]):
    """``seq`` numbers the chain's records from 1 without a hole; ``hash`` covers every other field and the hash before.

    Names and addresses of a person who was erased read `erased`; ``personal`` is what the hash covers in their place.
    """

    detail = serializers.JSONField(read_only=True)
    address = serializers.CharField(read_only=True, help_text="From where; empty where that is not known.")
    personal = serializers.JSONField(read_only=True, help_text="What is personal, as it was sealed.")
    erased = serializers.BooleanField(read_only=True, help_text="Whether something of it was erased.")

    class Meta:
        model = AuditRecord
        fields = [*COLUMNS, "prev_hash", "personal", "erased"]
        read_only_fields = fields


class AuditFilters(ChainSerializer):
    """``action`` is how it begins: ``key.`` finds all that was done to keys."""

    since = serializers.DateTimeField(required=False, source="at__gte")
    until = serializers.DateTimeField(required=False, source="at__lt")
    action = serializers.RegexField(r"^[a-z_.]{1,64}$", required=False, source="action__startswith")
    actor = serializers.CharField(required=False, max_length=300, help_text="A part of the name.")
    outcome = serializers.ChoiceField(["ok", "refused", "failed"], required=False)
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
    form = serializers.ChoiceField(["jsonl", "csv", "cef", "ocsf"], default="jsonl")


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
        rows = matching(self.acting, asked)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(AuditRecordSerializer(opened(page or []), many=True).data)


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
        found = queries.get_record(chosen_chain(self.acting, given.validated_data["chain"]), seq)
        return Response(AuditRecordSerializer(found).data)


class AuditExportView(View):
    permissions = {"GET": "audit.view"}
    content_negotiation_class = Unnegotiated
    pagination_class = None

    @extend_schema(
        operation_id="audit_export",
        parameters=[AuditExportSerializer],
        responses={
            (200, "application/jsonl"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "text/plain"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> Export:
        """The records that match as a file, the oldest first, written while it is sent."""
        given = AuditExportSerializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        form = asked.pop("form")
        rows = matching(self.acting, asked).order_by("seq")

        def page(last: Row | None) -> list[Row]:
            later = rows if last is None else rows.filter(seq__gt=last["seq"])
            return opened_rows(later.values(*READ)[:PAGE])

        tenant = tenant_of(self.acting).hex
        if form in ENDINGS:
            release = version("ollamamax")
            return Export(ENDINGS[form], "jsonl", COLUMNS, page, tenant, lambda row: as_text(row, form, release))
        return Export("audit", form, COLUMNS, page, tenant)


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
            chosen_chain(self.acting, given.validated_data["chain"]),
            given.validated_data["begin"],
            trusted_keys(settings.HOME / "audit"),
        )
        shown = {
            **found._asdict(),
            "next": found.end + 1 if 0 < found.end < found.last else None,
            "intact": not found.problems,
            "problems": [{"seq": each.seq, "what": each.what} for each in found.problems],
        }
        return Response(VerifiedSerializer(shown).data)


def matching(acting: Principal, asked: dict[str, Any]) -> QuerySet[AuditRecord]:
    """The records that a request's parameters name. Takes ``chain``, ``actor`` and ``search`` out of them."""
    text, actor = asked.pop("search", None), asked.pop("actor", None)
    chain = chosen_chain(acting, asked.pop("chain"))
    rows = queries.records(chain).filter(**asked)
    if actor is not None:
        rows = rows.filter(queries.by_actor(chain, actor))
    return rows if text is None else queries.mentioning(chain, rows, text)
