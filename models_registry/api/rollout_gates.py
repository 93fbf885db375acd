"""The gates of a rollout as the management API takes them, and what was measured for each."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from models_registry.api.profile import Strict
from models_registry.rollout.evaluation import EvaluationState
from models_registry.rollout.plan import GATES, RolloutGates


class EvaluationGateSerializer(Strict):
    """What the new version has to have reached in an evaluation suite; no data passes nothing. One of `least_score` and `margin` is needed."""

    suite = serializers.UUIDField()
    least_score = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0.001, max_value=1.0, help_text="a share of its cases"
    )
    margin = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0.0,
        max_value=0.999,
        help_text="by so much may its score be below the old version's",
    )
    from_share = serializers.FloatField(
        required=False,
        default=0.0,
        min_value=0.0,
        max_value=1.0,
        help_text="asked for before a step with this share or more begins; 0: before any",
    )


class RolloutGatesSerializer(Strict):
    failures = serializers.FloatField(
        required=False,
        allow_null=True,
        default=RolloutGates().failures,
        min_value=0.0,
        max_value=0.5,
        help_text="by so much may the share of failed answers be higher; null: it is not looked at",
    )
    first_token = serializers.FloatField(
        required=False,
        allow_null=True,
        default=RolloutGates().first_token,
        min_value=1.0,
        max_value=100.0,
        help_text="by this factor may the time to the first token be longer; null: it is not looked at",
    )
    speed = serializers.FloatField(
        required=False,
        allow_null=True,
        default=RolloutGates().speed,
        min_value=1.0,
        max_value=100.0,
        help_text="by this factor may the time for each further token be longer; null: it is not looked at",
    )
    evaluation = EvaluationGateSerializer(
        required=False, allow_null=True, default=None, help_text="null: it is not looked at"
    )


class RolloutGateSerializer(serializers.Serializer[Any]):
    """What was measured of both versions, and how sure it is that the new one is worse than it may be."""

    gate = serializers.ChoiceField(GATES)
    allowed = serializers.FloatField(allow_null=True)
    old_answers = serializers.IntegerField()
    new_answers = serializers.IntegerField()
    old_mean = serializers.FloatField(allow_null=True, help_text="a share of answers, or milliseconds; null: no data")
    new_mean = serializers.FloatField(allow_null=True)
    evidence = serializers.FloatField(
        help_text="an e-value: at most 1 on average while the new version is no worse than it may be"
    )
    closes_at = serializers.FloatField(help_text="the evidence at which the rollout is taken back")


class ReachedScoreSerializer(serializers.Serializer[Any]):
    """Of a version's last completed evaluation."""

    score = serializers.FloatField()
    passed = serializers.IntegerField()
    total = serializers.IntegerField()
    current = serializers.BooleanField(help_text="whether it was by the suite's cases as they are now")


class RolloutEvaluationSerializer(EvaluationGateSerializer):
    """The gate `evaluation`, and what was there at the last look: no step that it is asked for begins unless it is `passed`."""

    suite_name = serializers.CharField()
    state = serializers.ChoiceField(get_args(EvaluationState))
    why = serializers.CharField()
    new = ReachedScoreSerializer(allow_null=True, help_text="null: no data")
    old = ReachedScoreSerializer(allow_null=True, help_text="null: no data")
