"""The gates of a rollout as the management API takes them, and what was measured for each."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from models_registry.api.profile import Strict
from models_registry.rollout.evaluation import EvaluationState
from models_registry.rollout.plan import GATES, RolloutGates
from models_registry.rollout.shadow import MeasuredSide, ShadowComparison


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
    same_answers = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0.001,
        max_value=1.0,
        help_text="so large a share of the answers to shadow traffic at temperature 0 has to be the old version's; null: it is not looked at",
    )


class RolloutGateSerializer(serializers.Serializer[Any]):
    """What was measured of both versions, and how sure it is that the new one is worse than it may be."""

    gate = serializers.ChoiceField(GATES)
    allowed = serializers.FloatField(allow_null=True)
    old_answers = serializers.IntegerField()
    new_answers = serializers.IntegerField()
    old_mean = serializers.FloatField(allow_null=True, help_text="a share of answers, or milliseconds; null: no data")
    new_mean = serializers.FloatField(allow_null=True)
    before = serializers.BooleanField(help_text="whether the old version was measured before the switch")
    blocks_left = serializers.IntegerField(
        allow_null=True,
        help_text="of what was measured before the switch so many blocks are left to compare with, each with 4 answers of the new version; at 0 the "
        "gate sees no more. null: both are measured at the same time",
    )
    evidence = serializers.FloatField(
        help_text="an e-value: at most 1 on average while the new version is no worse than it may be"
    )
    closes_at = serializers.FloatField(help_text="the evidence at which the rollout is taken back")


class ShadowSideSerializer(serializers.Serializer[Any]):
    """Of one version's answers to the requests that both versions were asked; null: no data."""

    answers = serializers.IntegerField()
    failures = serializers.FloatField(allow_null=True, help_text="a share of the answers")
    first_token_ms = serializers.FloatField(allow_null=True, help_text="on average, without the wait for a slot")
    tokens_per_second = serializers.FloatField(allow_null=True, help_text="after the first token, on average")
    tokens = serializers.FloatField(allow_null=True, help_text="of an answer that did not fail, on average")


class RolloutShadowSerializer(serializers.Serializer[Any]):
    """What was compared of shadow traffic: people were shown the old version's answers."""

    old = ShadowSideSerializer()
    new = ShadowSideSerializer()
    compared = serializers.IntegerField(help_text="requests at temperature 0 that both versions answered")
    same = serializers.IntegerField(help_text="those with the same answer")
    same_answers = serializers.FloatField(allow_null=True, help_text="what the gate asks for, as a share")


def shown_shadow(found: ShadowComparison, asked: float | None) -> dict[str, Any]:
    def side(of: MeasuredSide) -> dict[str, Any]:
        well = of.answers - of.failed
        return {
            "answers": of.answers,
            "failures": of.failed / of.answers if of.answers else None,
            "first_token_ms": of.first_token_ms / of.first_tokens if of.first_tokens else None,
            "tokens_per_second": 1000 * of.speeds / of.token_ms if of.token_ms > 0 else None,
            "tokens": of.tokens / well if well else None,
        }

    same = {"compared": found.compared, "same": found.same, "same_answers": asked}
    return {"old": side(found.old), "new": side(found.new), **same}


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
