"""The shapes of a profile and of fallbacks; nothing here reads or writes."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from cluster.scheduling.taints import FORM, MOST_TAINTS, is_toleration
from models_registry.fallback import MOST_SECONDS
from ollamamax.contract.profile import Outside, Strategy
from ollamamax.contract.tables import CAUSES, Fallback
from ollamamax.identity.api.fields import Number

_NAME = 340


class Strict(serializers.Serializer[Any]):
    """Refuses fields that it does not know: what looks like a setting must be one."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
        return super().to_internal_value(data)


class ProfileSerializer(Strict):
    """How a model is served. What is left out stays as it is."""

    strategy = serializers.ChoiceField(
        choices=get_args(Strategy), required=False, help_text="How the node is chosen that runs a request."
    )
    num_ctx = serializers.IntegerField(
        min_value=4,
        max_value=1 << 24,
        required=False,
        allow_null=True,
        help_text="Tokens of context that every instance is loaded with; null is the engine's own default.",
    )
    num_gpu = serializers.IntegerField(
        min_value=0,
        max_value=10_000,
        required=False,
        allow_null=True,
        help_text="Layers on GPUs that every instance is loaded with; null is the engine's own default.",
    )
    outside = serializers.ChoiceField(
        choices=get_args(Outside),
        required=False,
        help_text="A request for more than num_ctx: refused, or sent only to nodes whose loaded instance has it.",
    )
    continue_streams = serializers.BooleanField(
        required=False, help_text="Whether a stream whose node died goes on elsewhere."
    )
    first_byte_seconds = Number(
        min_value=1, max_value=3600, required=False, help_text="Without output for so long, an engine counts as hung."
    )
    regions = serializers.ListField(
        child=serializers.CharField(max_length=100),
        max_length=50,
        required=False,
        help_text="Where the model may run; empty is everywhere.",
    )
    labels = serializers.DictField(
        child=serializers.CharField(max_length=100), required=False, help_text="Labels that a node must have."
    )

    tolerations = serializers.ListField(
        child=serializers.CharField(max_length=150),
        max_length=MOST_TAINTS,
        required=False,
        help_text="Taints of nodes that do not keep its requests away: `name`, `name=value`, with or without `:no_schedule` or `:no_execute`.",
    )

    def validate_tolerations(self, tolerations: list[str]) -> tuple[str, ...]:
        if not all(map(is_toleration, tolerations)):
            raise serializers.ValidationError(f"A toleration is a part of {FORM}.")
        return tuple(dict.fromkeys(tolerations))

    def validate_regions(self, regions: list[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(regions))

    def validate_labels(self, labels: dict[str, str]) -> dict[str, str]:
        if len(labels) > 50 or any(not 0 < len(name) <= 100 for name in labels):
            raise serializers.ValidationError("At most 50 labels, each with a name of 1 to 100 characters.")
        return labels


class FallbackSerializer(Strict):
    """A model that stands in, and the causes for which it does."""

    model = serializers.CharField(max_length=_NAME)
    causes = serializers.ListField(
        child=serializers.ChoiceField(choices=CAUSES),
        required=False,
        allow_empty=False,
        max_length=len(CAUSES),
        help_text="All of them, when left out.",
    )
    after_seconds = Number(
        min_value=0,
        max_value=MOST_SECONDS,
        required=False,
        allow_null=True,
        help_text="With no_capacity: seconds without a free slot after which it stands in; null is only when refused.",
    )


def fallbacks(given: list[dict[str, Any]] | None) -> list[Fallback] | None:
    """What `FallbackSerializer` validated."""
    if given is None:
        return None
    return [Fallback(each["model"], tuple(each.get("causes", CAUSES)), each.get("after_seconds")) for each in given]
