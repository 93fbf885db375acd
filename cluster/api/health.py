"""How well the fleet of the caller's tenant is, and in which form nodes and models say how they are."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.queries.health import FleetProblem, FleetReport, fleet_health
from ollamamax.contract.health import Finding, ModelHealth, NodeHealth
from ollamamax.identity.api.base import View

CONDITIONS = ("healthy", "degraded", "unhealthy", "unknown")


class FindingSerializer(serializers.Serializer[Any]):
    """A reason, with its evidence: ``values`` are what was measured, and what it was compared with."""

    code = serializers.CharField(help_text="what is found, for programs: `gpu_hot`, `node_silent`, ...")
    severity = serializers.ChoiceField(["critical", "warning", "notice"], help_text="a notice is nothing wrong")
    text = serializers.CharField(help_text="a sentence")
    since = serializers.DateTimeField()
    values = serializers.DictField(child=serializers.JSONField())

    def to_representation(self, instance: Finding) -> dict[str, Any]:
        shown = {**msgspec.structs.asdict(instance), "since": _moment(instance.since)}
        found: dict[str, Any] = super().to_representation(shown)
        return found


class HealthSerializer(serializers.Serializer[Any]):
    """How one thing is: ``healthy``; ``degraded``: it works, and something is wrong; ``unhealthy``: it does not do its work;
    ``unknown``: the control plane has not judged it lately. The findings begin with the worst."""

    state = serializers.ChoiceField(CONDITIONS)
    findings = FindingSerializer(many=True)


class ProblemSerializer(FindingSerializer):
    """``kind`` and ``id`` say what it is about: a ``node`` or a ``model``; the ``fleet`` as a whole or the control plane (``system``) have no id."""

    kind = serializers.ChoiceField(["node", "model", "fleet", "system"])
    id = serializers.CharField(allow_blank=True)
    name = serializers.CharField(allow_blank=True)
    link = serializers.CharField(help_text="the address, in this API, of what it is about")

    def to_representation(self, instance: FleetProblem) -> dict[str, Any]:  # type: ignore[override]
        finding = instance.finding
        shown = {
            **msgspec.structs.asdict(finding),
            "since": _moment(finding.since),
            "kind": instance.kind,
            "id": instance.id,
            "name": instance.name,
            "link": _link(instance),
        }
        return {name: field.to_representation(shown[name]) for name, field in self.fields.items()}


class CountsSerializer(serializers.Serializer[Any]):
    """Nodes by how they are, each counted once; ``capacity``: requests that can run at once, on nodes that take requests."""

    nodes = serializers.IntegerField()
    healthy = serializers.IntegerField()
    degraded = serializers.IntegerField()
    draining = serializers.IntegerField()
    unhealthy = serializers.IntegerField()
    silent = serializers.IntegerField()
    capacity = serializers.IntegerField()
    running = serializers.IntegerField()
    queued = serializers.IntegerField()


class FleetHealthSerializer(serializers.Serializer[Any]):
    """``well``: there is no problem. ``problems`` begin with the worst; ``notices`` are worth knowing."""

    state = serializers.ChoiceField(CONDITIONS)
    well = serializers.BooleanField()
    at = serializers.DateTimeField(allow_null=True, help_text="when it was judged")
    counts = CountsSerializer()
    problems = ProblemSerializer(many=True)
    notices = ProblemSerializer(many=True)

    def to_representation(self, instance: FleetReport) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(
            {
                "state": instance.state,
                "well": instance.state == "healthy" and not instance.problems,
                "at": None if instance.at is None else _moment(instance.at),
                "counts": instance.counts,
                "problems": instance.problems,
                "notices": instance.notices,
            }
        )
        return shown


def shown(known: bool, found: NodeHealth | ModelHealth | None) -> dict[str, Any]:
    """``known``: there is a fresh report. What is in it without a word is healthy."""
    if not known:
        return {"state": "unknown", "findings": []}
    if found is None:
        return {"state": "healthy", "findings": []}
    return dict(HealthSerializer({"state": found.state, "findings": found.findings}).data)


class HealthView(View):
    permissions = {"GET": "node.view"}
    of_objects = True
    serializer_class = FleetHealthSerializer
    pagination_class = None

    @extend_schema(operation_id="health_retrieve", responses=FleetHealthSerializer)
    def get(self, request: Request) -> Response:
        """Whether all is well, or what is wrong, the worst first. The control plane itself is told of to the operator."""
        return Response(FleetHealthSerializer(fleet_health(self.acting)).data)


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _link(problem: FleetProblem) -> str:
    if problem.kind == "node":
        return f"/api/v1/nodes/{problem.id}"
    if problem.kind == "model":
        return f"/api/v1/models?name={problem.name.partition(':')[0]}"
    return {"job_failed": "/api/v1/jobs", "queue_growing": "/api/v1/queue", "queue_stuck": "/api/v1/queue"}.get(
        problem.finding.code, "/api/v1/health"
    )
