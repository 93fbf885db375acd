"""Streams of the audit trail to syslog servers, and how far each is."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from ollamamax.audit.actions import SYSTEM
from ollamamax.identity.api.base import View
from ollamamax.identity.api.serializers import ChangeSerializer
from ollamamax.notifications.actions.stream import change_stream, create_stream, delete_stream
from ollamamax.notifications.models import AuditStream
from ollamamax.notifications.queries.stream import get_stream, streams

MOST_AUTHORITY = 32_768


class AuditStreamSerializer(serializers.ModelSerializer[AuditStream]):
    """``seq`` is the number of the last record that arrived, ``waiting`` how many came after it; ``error`` is of the last attempt."""

    chain = serializers.SerializerMethodField(help_text="`tenant`, or `system` for that of the installation.")
    waiting = serializers.SerializerMethodField()

    class Meta:
        model = AuditStream
        fields = [
            *("id", "name", "chain", "host", "port", "form", "authority", "answered", "enabled", "created_at"),
            *("seq", "waiting", "missed", "failures", "failing_since", "error", "succeeded_at"),
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(["tenant", SYSTEM]))
    def get_chain(self, stream: AuditStream) -> str:
        return SYSTEM if stream.chain == SYSTEM else "tenant"

    @extend_schema_field(serializers.IntegerField())
    def get_waiting(self, stream: Any) -> int:
        head: int = stream.head
        return max(0, head - int(stream.seq))


class AuditStreamCreateSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    host = serializers.CharField(max_length=253, help_text="Name or address of the syslog server.")
    port = serializers.IntegerField(min_value=1, max_value=65535, default=6514)
    form = serializers.ChoiceField(AuditStream.Form.choices, default="json")
    chain = serializers.ChoiceField(["tenant", SYSTEM], default="tenant")
    authority = serializers.CharField(
        max_length=MOST_AUTHORITY, default="", allow_blank=True, help_text="PEM; trusted instead of the system's."
    )
    answered = serializers.BooleanField(
        default=True,
        help_text="Whether the receiver answers the end of a connection with close_notify (RFC 5425, 4.4). "
        "Without that answer what was under way when it dies may be lost.",
    )
    from_start = serializers.BooleanField(default=False, help_text="All that is kept first; else from now on.")


class AuditStreamChangeSerializer(ChangeSerializer):
    name = serializers.CharField(max_length=100, required=False)
    host = serializers.CharField(max_length=253, required=False)
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False)
    form = serializers.ChoiceField(AuditStream.Form.choices, required=False)
    authority = serializers.CharField(max_length=MOST_AUTHORITY, required=False, allow_blank=True)
    answered = serializers.BooleanField(required=False)
    enabled = serializers.BooleanField(required=False)


class AuditStreamListView(View):
    permissions = {"GET": "audit.manage", "POST": "audit.manage"}
    serializer_class = AuditStreamSerializer
    orderings = {"created_at": "created_at", "name": "name"}
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return streams()

    @extend_schema(operation_id="audit_streams_list", responses=AuditStreamSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Where the audit trail is given to, the newest first."""
        return self.listing(self.get_queryset(), AuditStreamSerializer)

    @extend_schema(
        operation_id="audit_streams_create",
        request=AuditStreamCreateSerializer,
        responses={201: AuditStreamSerializer},
    )
    def post(self, request: Request) -> Response:
        """Give every record to a syslog server over TLS, at least once."""
        given = AuditStreamCreateSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = create_stream(acting=self.acting, **given.validated_data)
        return Response(AuditStreamSerializer(get_stream(made.pk)).data, status=201)


class AuditStreamView(View):
    permissions = {"GET": "audit.manage", "PATCH": "audit.manage", "DELETE": "audit.manage"}
    serializer_class = AuditStreamSerializer
    etagged = True
    volatile = frozenset({"seq", "waiting", "missed", "failures", "failing_since", "error", "succeeded_at"})

    @extend_schema(operation_id="audit_streams_retrieve", responses=AuditStreamSerializer)
    def get(self, request: Request, stream_id: uuid.UUID) -> Response:
        """One stream, and how far it is."""
        return Response(AuditStreamSerializer(get_stream(stream_id)).data)

    @extend_schema(
        operation_id="audit_streams_update", request=AuditStreamChangeSerializer, responses=AuditStreamSerializer
    )
    def patch(self, request: Request, stream_id: uuid.UUID) -> Response:
        """Change a stream, or switch it off and on; it goes on where it is."""
        given = AuditStreamChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        change_stream(acting=self.acting, stream_id=stream_id, **given.validated_data)
        return Response(AuditStreamSerializer(get_stream(stream_id)).data)

    @extend_schema(operation_id="audit_streams_destroy", responses={204: None})
    def delete(self, request: Request, stream_id: uuid.UUID) -> Response:
        """End a stream."""
        delete_stream(acting=self.acting, stream_id=stream_id)
        return Response(status=204)
