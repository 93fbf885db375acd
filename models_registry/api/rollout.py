"""Rollouts of channels: begun, watched, paused, advanced, taken back."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_registry.actions.rollout import Act, change_rollout, start_rollout
from models_registry.api.channel import ChannelMoveRequestSerializer
from models_registry.api.profile import Strict
from models_registry.api.promotion import ReasonSerializer
from models_registry.api.rollout_gates import (
    RolloutEvaluationSerializer,
    RolloutGateSerializer,
    RolloutGatesSerializer,
    RolloutShadowSerializer,
    shown_shadow,
)
from models_registry.models import Rollout
from models_registry.queries import rollout as queries
from models_registry.rollout.plan import (
    GATES,
    LEVELS,
    GateProgress,
    RolloutGates,
    RolloutProgress,
)
from models_registry.rollout.shadow import ShadowComparison
from models_registry.rollout.steps import LONGEST_HOLD, MOST_REQUESTS, MOST_STEPS, RolloutKind, RolloutStep
from ollamamax.identity.api.base import View


class RolloutStepSerializer(Strict):
    share = serializers.FloatField(
        min_value=0.0, max_value=1.0, help_text="of conversations, above 0; the last step's is 1"
    )
    seconds = serializers.FloatField(
        required=False, default=RolloutStep(1).seconds, min_value=0.0, max_value=LONGEST_HOLD, help_text="at least"
    )
    requests = serializers.IntegerField(
        required=False,
        default=RolloutStep(1).requests,
        min_value=0,
        max_value=MOST_REQUESTS,
        help_text="answers of the new version, at least",
    )
    shadow = serializers.BooleanField(
        required=False,
        default=False,
        help_text="that share of requests is run again on the new version, compared and not shown; before all other steps",
    )


class RolloutStartSerializer(ChannelMoveRequestSerializer):
    kind = serializers.ChoiceField(
        Rollout.Kind.choices,
        required=False,
        default=RolloutKind.STAGED.value,
        help_text="all at once with `blue_green`; beside the old version, and shown to nobody, with `shadow`",
    )
    steps = serializers.ListField(
        child=RolloutStepSerializer(),
        min_length=1,
        required=False,
        allow_null=True,
        max_length=MOST_STEPS,
        default=None,
        help_text="shares that rise to 1; without: 1, 5, 25, 50, 100 %. Of `blue_green` one with the share 1, its hold time: without, 900 seconds "
        "and 100 requests. Of `shadow` those of shadow traffic alone: without, 10 % for 900 seconds and 100 requests",
    )
    gates = RolloutGatesSerializer(required=False, default=lambda: msgspec.to_builtins(RolloutGates()))


class RolloutReplicasSerializer(serializers.Serializer[Any]):
    """Nodes that have a version whole, and, of a rollout that switches, how many of them have it in memory."""

    old = serializers.IntegerField()
    new = serializers.IntegerField()
    old_loaded = serializers.IntegerField()
    new_loaded = serializers.IntegerField()


class RolloutEventSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    what = serializers.CharField()
    by = serializers.CharField()


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    model = serializers.CharField(source="channel.model.name")
    channel = serializers.CharField(source="channel.name")
    steps = RolloutStepSerializer(many=True)
    step = serializers.SerializerMethodField(help_text="from 0 on; null before the first and after the last")
    step_answers = serializers.SerializerMethodField(help_text="of the new version in this step")
    step_seconds = serializers.SerializerMethodField()
    gates = serializers.SerializerMethodField()
    replicas = serializers.SerializerMethodField(help_text="at the last look; null before the first")
    shadow = serializers.SerializerMethodField(help_text="null: it has no step with shadow traffic")
    evaluation = serializers.SerializerMethodField(help_text="null: there is no such gate")
    events = RolloutEventSerializer(many=True)

    class Meta:
        model = Rollout
        fields = [
            *("id", "model", "channel", "kind", "from_version", "to_version", "state", "why", "reason", "steps"),
            *(
                "step",
                "step_answers",
                "step_seconds",
                "replicas",
                "gates",
                "shadow",
                "evaluation",
                "events",
                "by_kind",
                "by_name",
                "created_at",
            ),
            "ended_at",
        ]

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_step(self, rollout: Rollout) -> int | None:
        running = rollout.state in {Rollout.State.RUNNING, Rollout.State.PAUSED}
        return _progress(rollout).step if running else None

    def get_step_answers(self, rollout: Rollout) -> int:
        return _progress(rollout).answers

    def get_step_seconds(self, rollout: Rollout) -> float:
        return round(_progress(rollout).seconds, 1)

    @extend_schema_field(RolloutGateSerializer(many=True))
    def get_gates(self, rollout: Rollout) -> list[dict[str, Any]]:
        progress = _progress(rollout)
        allowed = msgspec.convert(rollout.gates, RolloutGates)
        found = []
        for name in GATES:
            gate = progress.gates.get(name, GateProgress())
            found.append(
                {
                    "gate": name,
                    "allowed": getattr(allowed, name),
                    "old_answers": gate.old,
                    "new_answers": gate.new,
                    "old_mean": gate.old_sum / gate.old if gate.old else None,
                    "new_mean": gate.new_sum / gate.new if gate.new else None,
                    "before": gate.before is not None,
                    "blocks_left": gate.blocks_left,
                    "evidence": gate.evidence.shown,
                    "closes_at": 1 / LEVELS[name],
                }
            )
        return found

    @extend_schema_field(RolloutReplicasSerializer(allow_null=True))
    def get_replicas(self, rollout: Rollout) -> dict[str, Any] | None:
        found: dict[str, Any] | None = msgspec.to_builtins(_progress(rollout).replicas)
        return found

    @extend_schema_field(RolloutShadowSerializer(allow_null=True))
    def get_shadow(self, rollout: Rollout) -> dict[str, Any] | None:
        if not any(step.get("shadow") for step in rollout.steps):
            return None
        asked = msgspec.convert(rollout.gates, RolloutGates).same_answers
        return shown_shadow(_progress(rollout).shadow or ShadowComparison(), asked)

    @extend_schema_field(RolloutEvaluationSerializer(allow_null=True))
    def get_evaluation(self, rollout: Rollout) -> dict[str, Any] | None:
        gate, found = msgspec.convert(rollout.gates, RolloutGates).evaluation, _progress(rollout).evaluation
        if gate is None or found is None:
            return None
        told: dict[str, Any] = msgspec.to_builtins(gate) | msgspec.to_builtins(found.scores)
        return told | {"state": found.state, "why": found.why}


def _progress(rollout: Rollout) -> RolloutProgress:
    return msgspec.convert(rollout.progress, RolloutProgress)


class RolloutFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(Rollout.State.choices, required=False)


class ModelRolloutListView(View):
    permissions = {"GET": "model.view", "POST": "model.manage"}
    of_objects = True
    serializer_class = RolloutSerializer
    filters = RolloutFilters
    creates = True

    def get_queryset(self) -> QuerySet[Any]:
        return queries.rollouts_of(self.acting, self.kwargs["channel_id"])

    @extend_schema(operation_id="models_rollouts", responses=RolloutSerializer(many=True))
    def get(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Rollouts of the model's channels, the newest first."""
        return self.listing(self.get_queryset(), RolloutSerializer)

    @extend_schema(
        operation_id="models_rollouts_create", request=RolloutStartSerializer, responses={201: RolloutSerializer}
    )
    def post(self, request: Request, channel_id: uuid.UUID) -> Response:
        """Begin to move the channel to another version of its model in steps: with more and more conversations, and back when it does worse."""
        given = RolloutStartSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = dict(given.validated_data)
        steps = msgspec.convert(asked.pop("steps"), list[RolloutStep] | None)
        gates = msgspec.convert(asked.pop("gates"), RolloutGates)
        kind = RolloutKind(asked.pop("kind"))
        made = start_rollout(acting=self.acting, channel_id=channel_id, kind=kind, steps=steps, gates=gates, **asked)
        return Response(RolloutSerializer(made).data, status=201)


class RolloutListView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = RolloutSerializer
    filters = RolloutFilters

    def get_queryset(self) -> QuerySet[Any]:
        return queries.rollouts(self.acting)

    @extend_schema(operation_id="rollouts_list", responses=RolloutSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Rollouts of all models, the newest first."""
        return self.listing(self.get_queryset(), RolloutSerializer)


class RolloutView(View):
    permissions = {"GET": "model.view"}
    of_objects = True
    serializer_class = RolloutSerializer

    @extend_schema(operation_id="rollouts_retrieve", responses=RolloutSerializer)
    def get(self, request: Request, rollout_id: uuid.UUID) -> Response:
        """One rollout, with what was measured of both versions."""
        return Response(RolloutSerializer(queries.get_rollout(self.acting, rollout_id)).data)


def _done(view: View, act: Act, rollout_id: uuid.UUID) -> Response:
    given = ReasonSerializer(data=view.request.data)
    given.is_valid(raise_exception=True)
    changed = change_rollout(acting=view.acting, rollout_id=rollout_id, act=act, **given.validated_data)
    return Response(RolloutSerializer(changed).data)


class RolloutPauseView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = RolloutSerializer
    creates = True

    @extend_schema(operation_id="rollouts_pause", request=ReasonSerializer, responses=RolloutSerializer)
    def post(self, request: Request, rollout_id: uuid.UUID) -> Response:
        """Keep its share as it is. It is taken back all the same when the new version does worse."""
        return _done(self, "pause", rollout_id)


class RolloutResumeView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = RolloutSerializer
    creates = True

    @extend_schema(operation_id="rollouts_resume", request=ReasonSerializer, responses=RolloutSerializer)
    def post(self, request: Request, rollout_id: uuid.UUID) -> Response:
        """Let a paused one go on."""
        return _done(self, "resume", rollout_id)


class RolloutAdvanceView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = RolloutSerializer
    creates = True

    @extend_schema(operation_id="rollouts_advance", request=ReasonSerializer, responses=RolloutSerializer)
    def post(self, request: Request, rollout_id: uuid.UUID) -> Response:
        """Take the next step now, whatever it waits for. The last one moves the channel."""
        return _done(self, "advance", rollout_id)


class RolloutTakeBackView(View):
    permissions = {"POST": "model.manage"}
    of_objects = True
    serializer_class = RolloutSerializer
    creates = True

    @extend_schema(operation_id="rollouts_roll_back", request=ReasonSerializer, responses=RolloutSerializer)
    def post(self, request: Request, rollout_id: uuid.UUID) -> Response:
        """End it: new requests have the old version within a second."""
        return _done(self, "roll_back", rollout_id)
