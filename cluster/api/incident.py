"""Incidents of the caller's tenant."""

from __future__ import annotations

import datetime
import uuid
from typing import Any, get_args

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.actions.incident import MOST_SILENCE_SECONDS, acknowledge_incident, silence_incident
from cluster.actions.recovery import begin_recovery, stop_recovery
from cluster.health.sign import PREDICTED
from cluster.incidents.plan import MOST_ENTRIES
from cluster.incidents.trouble import MOST_EVIDENCE
from cluster.models import Incident
from cluster.queries import incident as queries
from cluster.recovery.playbook import HELPED, RunState, Step
from ollamamax.identity.api.base import View

_SEVERITIES = ["critical", "warning", "notice"]
_RECOVERY_STEPS = ("recovery_began", "recovery_step", "recovery_done", "recovery_given_up", "recovery_stopped")
_STEPS = (
    "opened",
    "reopened",
    "worse",
    "better",
    "closed",
    "acknowledged",
    "silenced",
    "told_again",
    "not_set_aside",
    *_RECOVERY_STEPS,
)


class EvidenceSerializer(serializers.Serializer[Any]):
    """A finding: ``values`` are what was measured, and what it was compared with."""

    code = serializers.CharField()
    severity = serializers.ChoiceField(_SEVERITIES)
    text = serializers.CharField()
    values = serializers.DictField(child=serializers.JSONField())


class IncidentStepSerializer(serializers.Serializer[Any]):
    """``by`` names who acknowledged or silenced it; empty for what the system did."""

    at = serializers.DateTimeField()
    what = serializers.ChoiceField(_STEPS)
    text = serializers.CharField(allow_blank=True)
    by = serializers.CharField(allow_blank=True)


class RecoverySerializer(serializers.Serializer[Any]):
    """A run of the playbook that sets a node aside until it is well. ``why`` says how it ended."""

    step = serializers.ChoiceField(get_args(Step))
    state = serializers.ChoiceField(get_args(RunState))
    began_at = serializers.FloatField(help_text="Unix seconds")
    by = serializers.CharField(allow_blank=True)
    seconds = serializers.FloatField(allow_null=True, help_text="from its beginning to its end; null while it runs")
    why = serializers.CharField(allow_blank=True)


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    state = serializers.SerializerMethodField()
    severity = serializers.ChoiceField(_SEVERITIES, read_only=True, help_text="a notice is no incident")
    seconds = serializers.SerializerMethodField(help_text="from its beginning to its end; null while it is open")
    subject_id = serializers.SerializerMethodField(help_text="of the node or the model; empty for others")
    requests_hit = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="that failed there or had to go elsewhere, counted at its end"
    )
    tenants_hit = serializers.IntegerField(read_only=True, allow_null=True)
    came_true = serializers.BooleanField(
        read_only=True,
        allow_null=True,
        help_text="of a prediction that is over: whether the fault that it named began while it stood",
    )

    class Meta:
        model = Incident
        fields = [
            "id",
            "state",
            "kind",
            "severity",
            "text",
            "about",
            "subject_id",
            "subject_name",
            "region",
            "opened_at",
            "changed_at",
            "closed_at",
            "seconds",
            "reopened",
            "acknowledged_at",
            "acknowledged_by",
            "silenced_until",
            "requests_hit",
            "tenants_hit",
            "came_true",
        ]
        read_only_fields = fields

    def get_state(self, incident: Incident) -> str:
        """``open`` or ``closed``."""
        return "open" if incident.closed_at is None else "closed"

    def get_seconds(self, incident: Incident) -> float | None:
        return None if incident.closed_at is None else (incident.closed_at - incident.opened_at).total_seconds()

    def get_subject_id(self, incident: Incident) -> str:
        return incident.subject_id and str(uuid.UUID(incident.subject_id))


class IncidentDetailSerializer(IncidentSerializer):
    recovery = serializers.SerializerMethodField(help_text="the latest run of a playbook; null where none was begun")
    recoverable = serializers.SerializerMethodField(help_text="whether there is a playbook for this kind of incident")
    fails_before = serializers.SerializerMethodField(help_text="of a prediction: until when it fails; else null")
    evidence = EvidenceSerializer(many=True, help_text=f"the worst first, at most {MOST_EVIDENCE}")
    timeline = IncidentStepSerializer(many=True, help_text=f"the oldest first, at most {MOST_ENTRIES}")

    class Meta(IncidentSerializer.Meta):
        fields = [*IncidentSerializer.Meta.fields, "evidence", "timeline", "recovery", "recoverable", "fails_before"]
        read_only_fields = fields

    @extend_schema_field(RecoverySerializer(allow_null=True))
    def get_recovery(self, incident: Incident) -> dict[str, Any] | None:
        run = queries.held_run(incident)
        return None if run is None else dict(RecoverySerializer(run).data)

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_fails_before(self, incident: Incident) -> datetime.datetime | None:
        told = incident.evidence[0]["values"].get("fails_before") if incident.evidence else None
        if not incident.kind.startswith(PREDICTED) or not isinstance(told, int):
            return None
        return datetime.datetime.fromtimestamp(told, datetime.UTC)

    def get_recoverable(self, incident: Incident) -> bool:
        return incident.about == "node" and incident.kind in HELPED


class IncidentFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["open", "closed"], required=False)
    kind = serializers.CharField(required=False, max_length=64)
    severity = serializers.ChoiceField(_SEVERITIES, required=False)
    about = serializers.ChoiceField(["node", "model", "fleet", "system"], required=False)
    subject_id = serializers.UUIDField(required=False, help_text="of a node or a model")
    name = serializers.CharField(
        required=False, max_length=100, source="subject_name__icontains", help_text="a part of it"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        state = attrs.pop("state", None)
        if "subject_id" in attrs:
            attrs["subject_id"] = attrs["subject_id"].hex
        return attrs if state is None else attrs | {"closed_at__isnull": state == "open"}


class SilenceSerializer(serializers.Serializer[Any]):
    seconds = serializers.IntegerField(min_value=0, max_value=MOST_SILENCE_SECONDS, help_text="0 ends the silence")


class IncidentListView(View):
    permissions = {"GET": "node.view"}
    serializer_class = IncidentSerializer
    filters = IncidentFilters
    orderings = {"opened_at": "opened_at"}

    def get_queryset(self) -> QuerySet[Any]:
        return queries.incidents().defer("evidence", "timeline")

    @extend_schema(operation_id="incidents_list", responses=IncidentSerializer(many=True))
    def get(self, request: Request) -> Response:
        """What broke, the newest first."""
        return self.listing(self.get_queryset(), IncidentSerializer)


class IncidentView(View):
    permissions = {"GET": "node.view"}
    serializer_class = IncidentDetailSerializer

    @extend_schema(operation_id="incidents_retrieve", responses=IncidentDetailSerializer)
    def get(self, request: Request, incident_id: uuid.UUID) -> Response:
        """One incident with its evidence and its timeline."""
        return Response(IncidentDetailSerializer(queries.get_incident(incident_id)).data)


class IncidentAcknowledgeView(View):
    permissions = {"POST": "node.manage"}
    serializer_class = IncidentDetailSerializer

    @extend_schema(operation_id="incidents_acknowledge", request=None, responses=IncidentDetailSerializer)
    def post(self, request: Request, incident_id: uuid.UUID) -> Response:
        """Say that you look after it."""
        found = acknowledge_incident(acting=self.acting, incident_id=incident_id)
        return Response(IncidentDetailSerializer(found).data)


class IncidentSilenceView(View):
    permissions = {"POST": "node.manage"}
    serializer_class = IncidentDetailSerializer

    @extend_schema(operation_id="incidents_silence", request=SilenceSerializer, responses=IncidentDetailSerializer)
    def post(self, request: Request, incident_id: uuid.UUID) -> Response:
        """Have nobody told of it for a while: that it became worse, closed, or came back."""
        given = SilenceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        found = silence_incident(acting=self.acting, incident_id=incident_id, **given.validated_data)
        return Response(IncidentDetailSerializer(found).data)


class IncidentRecoverView(View):
    permissions = {"POST": "node.manage", "DELETE": "node.manage"}
    serializer_class = IncidentDetailSerializer

    @extend_schema(operation_id="incidents_recover", request=None, responses=IncidentDetailSerializer)
    def post(self, request: Request, incident_id: uuid.UUID) -> Response:
        """Set the node aside until it is well: quarantine, drain, verify, restore. Refused where a guard rail forbids it."""
        found = begin_recovery(acting=self.acting, incident_id=incident_id)
        return Response(IncidentDetailSerializer(found).data)

    @extend_schema(operation_id="incidents_stop_recovery", request=None, responses=IncidentDetailSerializer)
    def delete(self, request: Request, incident_id: uuid.UUID) -> Response:
        """Stop it: the node takes requests again."""
        found = stop_recovery(acting=self.acting, incident_id=incident_id)
        return Response(IncidentDetailSerializer(found).data)
