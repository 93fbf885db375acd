"""Which versions should be in the memory of which nodes: the plan as it would be carried out now, as a dry run, and to be applied."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from cluster.autoscaling.warmth import likelihood
from cluster.placement.terms import PlacementStep
from models_registry.actions.loading import apply_placement, is_applying, number_of, stop_placement
from models_registry.api.profile import Strict
from models_registry.api.scaling import PlacedSerializer, ScalingDecisionSerializer, rounded, scaling_shown
from models_registry.queries.placement import PlacementSnapshot, planned
from models_registry.queries.replication import policy_of, terms_of
from ollamamax.identity.api.base import View
from ollamamax.identity.rights import require_in_tenant


class PlacementStepSerializer(PlacedSerializer):
    verb = serializers.ChoiceField(["load", "unload", "move"])
    node = serializers.UUIDField()
    node_name = serializers.CharField()
    source = serializers.UUIDField(  # type: ignore[assignment]
        allow_null=True, help_text="of a move: the node that it is unloaded on afterwards"
    )
    source_name = serializers.CharField()
    bytes = serializers.IntegerField(help_text="that come into memory on the node, or leave it")
    reason = serializers.CharField()


class PlacementShortageSerializer(PlacedSerializer):
    """A version with fewer replicas in memory than it should have."""

    replicas = serializers.IntegerField(help_text="that serve it once the plan is carried out")
    slots = serializers.IntegerField(help_text="of their nodes")
    demand = serializers.FloatField(help_text="requests at once, in the mean of ten minutes, and those that wait")
    why = serializers.CharField()


class ExposedSerializer(PlacedSerializer):
    """A version that is asked for, whose only replica would fit on no other node if this one failed."""

    node = serializers.UUIDField()
    node_name = serializers.CharField()


class WarmthSerializer(PlacedSerializer):
    """How many requests are to be expected for a version in the next half hour."""

    expected_requests = serializers.FloatField(allow_null=True, help_text="null: nothing was measured yet")
    likely_percent = serializers.FloatField(allow_null=True, help_text="that at least one comes")
    replicas = serializers.IntegerField(help_text="in memory, or on their way into it")


class PlacementNodeSerializer(serializers.Serializer[Any]):
    node = serializers.UUIDField()
    node_name = serializers.CharField()
    takes = serializers.BooleanField(help_text="whether it is there, well, and takes requests")
    memory = serializers.IntegerField(help_text="bytes that versions may take there together")
    used_before = serializers.IntegerField()
    used_after = serializers.IntegerField()
    before = PlacedSerializer(many=True)
    after = PlacedSerializer(many=True)


class PlacementSerializer(serializers.Serializer[Any]):
    plan = serializers.CharField(help_text="names these steps: what is sent back to have them carried out")
    automatic = serializers.BooleanField(
        help_text="whether plans are carried out by themselves, as the tenant's terms say"
    )
    applying = serializers.BooleanField(help_text="whether one that somebody applied is being carried out")
    planned_at = serializers.DateTimeField()
    cost_bytes = serializers.IntegerField(help_text="that come into memory by the plan")
    steps = PlacementStepSerializer(many=True)
    shortages = PlacementShortageSerializer(many=True)
    exposed = ExposedSerializer(many=True)
    scaling = ScalingDecisionSerializer(many=True, help_text="of each version with an objective")
    keep_warm = serializers.BooleanField(
        help_text="whether models are kept in memory by how likely they are asked for, as the tenant's terms say"
    )
    warmth = WarmthSerializer(many=True, help_text="the likeliest first; empty where models are not kept warm")
    nodes = PlacementNodeSerializer(many=True)


class ApplySerializer(Strict):
    plan = serializers.CharField(max_length=64, help_text="of the plan as it was seen")


class WaitingStepSerializer(PlacementStepSerializer):
    why = serializers.CharField(help_text="it waits")


class AppliedSerializer(serializers.Serializer[Any]):
    """Of the first round; the loop goes on with the rest."""

    asked = PlacementStepSerializer(many=True, help_text="what nodes were told to do")
    waiting = WaitingStepSerializer(many=True)


class PlacementView(View):
    permissions = {"GET": "node.manage"}
    serializer_class = PlacementSerializer
    pagination_class = None

    @extend_schema(operation_id="placement_retrieve", responses=PlacementSerializer)
    def get(self, request: Request) -> Response:
        """What would be loaded, unloaded and moved now, and why. Nothing is done."""
        return Response(PlacementSerializer(_shown(planned(require_in_tenant(self.acting, "node.manage")))).data)


class PlacementApplyView(View):
    permissions = {"POST": "node.manage", "DELETE": "node.manage"}
    serializer_class = AppliedSerializer
    creates = True

    @extend_schema(operation_id="placement_apply", request=ApplySerializer, responses=AppliedSerializer)
    def post(self, request: Request) -> Response:
        """Have the plan carried out: what can be done now is done now, the rest within ten minutes, planned anew each time. 409 where the plan is another one by now."""
        given = ApplySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        found, carried = apply_placement(acting=self.acting, plan=given.validated_data["plan"])
        return Response(
            {
                "asked": [_step(found, step) for step in carried.asked],
                "waiting": [_step(found, step) | {"why": why} for step, why in carried.waiting],
            }
        )

    @extend_schema(operation_id="placement_stop", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Carry nothing more of it out. What nodes were told to do goes on."""
        stop_placement(acting=self.acting)
        return Response(status=204)


def _shown(found: PlacementSnapshot) -> dict[str, Any]:
    plan = found.plan
    before: dict[str, dict[str, int]] = {node.id: {} for node in found.nodes}
    for each in found.loaded:
        before[each.node][each.digest] = each.bytes
    after = {node: dict(held) for node, held in before.items()}
    for step in plan.steps:
        _carry_out(after, step)
    return {
        "plan": number_of(found),
        "automatic": terms_of(policy_of(None)).automatic,
        "applying": is_applying(found.tenant),
        "planned_at": found.at,
        "cost_bytes": plan.cost,
        "steps": [_step(found, step) for step in plan.steps],
        "shortages": [
            _placed(found, each.digest)
            | {"replicas": each.replicas, "slots": each.slots, "demand": round(each.demand, 3), "why": each.why}
            for each in plan.shortages
        ],
        "exposed": [_placed(found, digest) | _named(found, node) for digest, node in plan.exposed],
        "scaling": [
            scaling_shown(
                each.digest,
                found.version_names.get(each.digest, ""),
                found.scaling.get(each.digest),
                found.replicas(each.digest),
            )
            for each in found.versions
            if found.terms[each.digest].scaling is not None
        ],
        "keep_warm": found.keep_warm,
        "warmth": _warmth(found),
        "nodes": [
            _named(found, node.id)
            | {
                "takes": node.takes,
                "memory": node.memory,
                "used_before": sum(before[node.id].values()),
                "used_after": sum(after[node.id].values()),
                "before": [_placed(found, digest) for digest in sorted(before[node.id])],
                "after": [_placed(found, digest) for digest in sorted(after[node.id])],
            }
            for node in found.nodes
        ],
    }


def _warmth(found: PlacementSnapshot) -> list[dict[str, Any]]:
    if not found.keep_warm:
        return []
    expected = {each.digest: each.warmth for each in found.versions}
    return [
        _placed(found, digest)
        | {
            "expected_requests": rounded(value),
            "likely_percent": None if value is None else rounded(likelihood(value), 100),
            "replicas": found.replicas(digest),
        }
        for digest, value in sorted(expected.items(), key=lambda each: (-(each[1] or 0.0), each[0]))
    ]


def _step(found: PlacementSnapshot, step: PlacementStep) -> dict[str, Any]:
    return {
        **_placed(found, step.digest),
        **_named(found, step.node),
        "verb": step.verb,
        "source": uuid.UUID(step.source) if step.source else None,
        "source_name": found.node_names.get(step.source, ""),
        "bytes": step.bytes,
        "reason": step.reason.value,
    }


def _carry_out(held: dict[str, dict[str, int]], step: PlacementStep) -> None:
    if step.verb == "unload":
        del held[step.node][step.digest]
        return
    held[step.node][step.digest] = step.bytes
    if step.source:
        del held[step.source][step.digest]


def _placed(found: PlacementSnapshot, digest: str) -> dict[str, Any]:
    return {"version": digest, "model": found.version_names.get(digest, "")}


def _named(found: PlacementSnapshot, node: str) -> dict[str, Any]:
    return {"node": uuid.UUID(node), "node_name": found.node_names.get(node, "")}
