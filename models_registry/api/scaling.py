"""What autoscaling decided of a version, as the plan of placement and the model's own terms show it."""

from __future__ import annotations

import datetime
from typing import Any

from rest_framework import serializers

from models_registry.queries.scaling import KnownScaling

_NOT_DECIDED = "no data: nobody has decided it lately"


class PlacedSerializer(serializers.Serializer[Any]):
    version = serializers.CharField()
    model = serializers.CharField(help_text="a name of the version; empty where it has none")


class ScalingDecisionSerializer(PlacedSerializer):
    """What autoscaling decided of a version with an objective, and from what. What was not measured is null."""

    wanted = serializers.IntegerField(
        allow_null=True, help_text="replicas in memory; null: nothing is decided, for lack of data"
    )
    reason = serializers.CharField()
    needed = serializers.IntegerField(allow_null=True, help_text="before cool-down and bounds")
    load = serializers.FloatField(allow_null=True, help_text="requests at once that `needed` is for")
    replicas = serializers.IntegerField(help_text="in memory, or on their way into it")
    running = serializers.IntegerField()
    waiting = serializers.IntegerField()
    service_seconds = serializers.FloatField(allow_null=True, help_text="that a request runs, in the mean")
    tokens_per_second = serializers.FloatField(allow_null=True, help_text="that one request gets")
    kept_percent = serializers.FloatField(
        allow_null=True, help_text="of the requests of the last ten minutes that kept the objective"
    )
    decided_at = serializers.DateTimeField(allow_null=True, help_text="null: nobody has decided it lately")
    measured_at = serializers.DateTimeField(allow_null=True)


def scaling_shown(digest: str, name: str, known: KnownScaling | None, replicas: int | None) -> dict[str, Any]:
    """``known``: ``None`` where nobody has decided it lately; ``replicas``: ``None`` for as many as the decision saw."""
    if known is None or not known.scaled:
        known = KnownScaling(0.0, True, reason=_NOT_DECIDED)
    return {
        "version": digest,
        "model": name,
        "wanted": known.wanted,
        "reason": known.reason,
        "needed": known.needed,
        "load": rounded(known.load),
        "replicas": known.replicas if replicas is None else replicas,
        "running": known.running,
        "waiting": known.waiting,
        "service_seconds": rounded(known.service),
        "tokens_per_second": rounded(known.tokens_per_second),
        "kept_percent": rounded(known.kept, 100),
        "decided_at": _moment(known.at or None),
        "measured_at": _moment(known.measured_at),
    }


def rounded(value: float | None, times: float = 1.0) -> float | None:
    return None if value is None else round(times * value, 2)


def _moment(seconds: float | None) -> datetime.datetime | None:
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)
