"""What runs of chaos experiments look like in the management API."""

from __future__ import annotations

import uuid
from typing import Any, get_args

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from cluster.experiments.figures import Verdict
from cluster.experiments.plan import RunStep
from cluster.models import ExperimentRun
from cluster.queries import experiment as queries

VERDICTS = get_args(Verdict)
_FIGURES = ("failed_share", "first_token_p95_ms", "recovery_seconds")


class PhaseFiguresSerializer(serializers.Serializer[Any]):
    """Requests that came in a phase and have ended. Null: no data."""

    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    lost_before_token = serializers.IntegerField(help_text="failed without any token")
    failed_share = serializers.FloatField(allow_null=True)
    first_token_p95_ms = serializers.FloatField(allow_null=True)


class PhaseSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(["control", "fault"])
    pair = serializers.IntegerField(help_text="from 0 on")
    nodes = serializers.ListField(child=serializers.UUIDField())
    began_at = serializers.FloatField(help_text="Unix seconds")
    ended_at = serializers.FloatField(allow_null=True)
    held = serializers.BooleanField(help_text="whether its nodes showed that they suffer the fault")
    recovery_seconds = serializers.FloatField(
        allow_null=True, help_text="to the second; null where there is none, or it was not seen"
    )
    figures = PhaseFiguresSerializer(allow_null=True, help_text="null while the run is under way")
    control_figures = PhaseFiguresSerializer(
        allow_null=True, help_text="of a control group of nodes, in the same phase"
    )


class PhaseDifferenceSerializer(serializers.Serializer[Any]):
    """With the fault less without it: the mean over the pairs, and the interval that holds it with 95 % confidence. Null: no data."""

    pairs = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class JudgedSerializer(serializers.Serializer[Any]):
    figure = serializers.ChoiceField(_FIGURES)
    allowed = serializers.FloatField()
    measured = serializers.FloatField(
        allow_null=True, help_text="with the fault; of recoveries the slowest; null: no data"
    )
    verdict = serializers.ChoiceField(VERDICTS)


class RunReportSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(VERDICTS)
    judged = JudgedSerializer(many=True)
    failed_share = PhaseDifferenceSerializer()
    first_token_p95_ms = PhaseDifferenceSerializer()


class ExperimentRunSerializer(serializers.ModelSerializer[ExperimentRun]):
    step = serializers.SerializerMethodField(help_text="null once it is over")
    phases = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField(help_text="null while it is under way")

    class Meta:
        model = ExperimentRun
        fields = ["id", "state", "why", "step", "phases", "report", "by_name", "stopped_by", "began_at", "ended_at"]
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(get_args(RunStep), allow_null=True))
    def get_step(self, run: ExperimentRun) -> str | None:
        return queries.held_plan(run).step if run.state == "running" else None

    @extend_schema_field(PhaseSerializer(many=True))
    def get_phases(self, run: ExperimentRun) -> list[dict[str, Any]]:
        report = queries.held_report(run)
        found = []
        for place, phase in enumerate(queries.held_plan(run).phases):
            figures = report.phases[place] if report is not None and place < len(report.phases) else None
            control = report.controls[place] if report is not None and place < len(report.controls) else None
            told: dict[str, Any] = {
                "kind": phase.kind,
                "pair": phase.pair,
                "nodes": [str(uuid.UUID(node)) for node in phase.nodes],
                "began_at": phase.began_at,
                "ended_at": phase.ended_at,
                "held": phase.held,
                "recovery_seconds": phase.recovery_seconds,
                "figures": msgspec.to_builtins(figures),
                "control_figures": msgspec.to_builtins(control),
            }
            found.append(told)
        return found

    @extend_schema_field(RunReportSerializer(allow_null=True))
    def get_report(self, run: ExperimentRun) -> dict[str, Any] | None:
        report = queries.held_report(run)
        return None if report is None else dict(RunReportSerializer(msgspec.to_builtins(report)).data)
