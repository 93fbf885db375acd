"""Suites, requirements, evaluations and their results, as the management API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from models_registry.api.profile import Strict
from ollamamax.evaluations import cases
from ollamamax.evaluations.actions.evaluation import LEAST_SECONDS, MOST_SECONDS
from ollamamax.evaluations.models import Evaluation, EvaluationRequirement, EvaluationResult, EvaluationSuite

_MOST_DESCRIPTION = 1000


class EvaluationCheckSerializer(Strict):
    """What is checked of an answer; which fields count depends on `kind`."""

    kind = serializers.ChoiceField(cases.CHECKS)
    expected = serializers.CharField(
        required=False, trim_whitespace=False, max_length=cases.MOST_TEXT,
        help_text="exact: what the answer is; distance: whose embedding it is compared with",
    )  # fmt: skip
    ignore_case = serializers.BooleanField(required=False, help_text="exact")
    pattern = serializers.CharField(
        required=False,
        trim_whitespace=False,
        max_length=cases.MOST_PATTERN,
        help_text="regex: found in the answer, in RE2's syntax",
    )
    absent = serializers.BooleanField(required=False, help_text="regex: it must not be found")
    schema = serializers.DictField(required=False, help_text="json_schema: what the answer fits (2020-12)")
    model = serializers.CharField(
        required=False, max_length=cases.MOST_MODEL, help_text="judge: who grades; distance: who embeds"
    )
    criteria = serializers.CharField(
        required=False, max_length=cases.MOST_TEXT, help_text="judge: what a good answer is"
    )
    least = serializers.IntegerField(
        required=False, min_value=1, max_value=cases.BEST_GRADE, help_text="judge: the least grade, of 10; 7 by default"
    )
    most = serializers.FloatField(
        required=False, min_value=0, max_value=2, help_text="distance: the largest cosine distance; 0.3 by default"
    )


class EvaluationMessageSerializer(Strict):
    role = serializers.ChoiceField(cases.ROLES)
    content = serializers.CharField(trim_whitespace=False, allow_blank=True, max_length=cases.MOST_TEXT)


class EvaluationCaseSerializer(Strict):
    """What a version is asked, and what is checked of its answer."""

    name = serializers.CharField(max_length=cases.MOST_NAME)
    kind = serializers.ChoiceField(("chat", "embed"), required=False, help_text="chat by default")
    messages = serializers.ListField(
        child=EvaluationMessageSerializer(), required=False, max_length=cases.MOST_MESSAGES, help_text="chat"
    )
    text = serializers.CharField(
        required=False, trim_whitespace=False, max_length=cases.MOST_TEXT, help_text="embed: what is embedded"
    )
    temperature = serializers.FloatField(required=False, min_value=0, max_value=2, help_text="0 by default")
    seed = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=(1 << 31) - 1, help_text="0 by default"
    )
    max_tokens = serializers.IntegerField(required=False, min_value=1, max_value=cases.MOST_TOKENS)
    format = serializers.JSONField(
        required=False, allow_null=True, help_text="`json` or a JSON schema that the answer is asked to have"
    )
    checks = serializers.ListField(child=EvaluationCheckSerializer(), min_length=1, max_length=cases.MOST_CHECKS)

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        """Without what is as by default: a seed that is null is another thing than none that was given."""
        return {name: value for name, value in super().to_representation(instance).items() if name in instance}


class SuiteChangeSerializer(Strict):
    name = serializers.CharField(required=False, max_length=100)
    description = serializers.CharField(required=False, allow_blank=True, max_length=_MOST_DESCRIPTION)
    cases = serializers.ListField(
        child=EvaluationCaseSerializer(), required=False, min_length=1, max_length=cases.MOST_CASES
    )


class SuiteCreateSerializer(SuiteChangeSerializer):
    name = serializers.CharField(max_length=100)
    cases = serializers.ListField(child=EvaluationCaseSerializer(), min_length=1, max_length=cases.MOST_CASES)


class SuiteListedSerializer(serializers.ModelSerializer[EvaluationSuite]):
    """A suite without its cases."""

    required = serializers.SerializerMethodField(  # type: ignore[assignment]  # a field of the suite, not of the form
        help_text="whether promotion requires it of any model"
    )

    class Meta:
        model = EvaluationSuite
        fields = ["id", "name", "description", "digest", "cases_count", "required", "by_name", "created_at"]
        fields += ["changed_at"]

    def get_required(self, suite: EvaluationSuite) -> bool:
        return bool(suite.requirements.all())


class SuiteSerializer(SuiteListedSerializer):
    cases = EvaluationCaseSerializer(many=True)

    class Meta(SuiteListedSerializer.Meta):
        fields = [*SuiteListedSerializer.Meta.fields, "cases"]


class SuiteFilters(serializers.Serializer[Any]):
    name = serializers.CharField(required=False, max_length=100, source="name__icontains", help_text="A part of it.")


class RequirementCreateSerializer(Strict):
    suite = serializers.UUIDField()
    model = serializers.CharField(
        required=False, allow_null=True, default=None, max_length=340, help_text="without its tag; null: all models"
    )
    least_score = serializers.FloatField(min_value=0.001, max_value=1, help_text="a share of the suite's cases")


class RequirementSerializer(serializers.ModelSerializer[EvaluationRequirement]):
    suite_name = serializers.CharField(source="suite.name")
    model = serializers.SerializerMethodField(help_text="null: all models")

    class Meta:
        model = EvaluationRequirement
        fields = ["id", "suite", "suite_name", "model", "least_score", "by_name", "created_at"]

    def get_model(self, requirement: EvaluationRequirement) -> str | None:
        return requirement.model.name if requirement.model is not None else None


class RequirementFilters(serializers.Serializer[Any]):
    suite = serializers.UUIDField(required=False, source="suite_id")


class EvaluationStartSerializer(Strict):
    suite = serializers.UUIDField()
    key = serializers.UUIDField(
        required=False, help_text="as which its requests are run and counted; a key that asks runs them as itself"
    )
    timeout_seconds = serializers.IntegerField(
        required=False, default=3600, min_value=LEAST_SECONDS, max_value=MOST_SECONDS,
        help_text="after which it has failed, whatever it waits for",
    )  # fmt: skip


class MeasuredSpreadSerializer(serializers.Serializer[Any]):
    """Of the cases of which it was measured."""

    median = serializers.FloatField()
    least = serializers.FloatField()
    most = serializers.FloatField()
    count = serializers.IntegerField()


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """One version judged by one suite. `score` is the share of cases all of whose checks passed, once all are done."""

    model = serializers.CharField(source="release.model.name")
    version = serializers.CharField(source="release.version.digest")
    suite_changed = serializers.SerializerMethodField(
        help_text="whether the suite has other cases by now, or is deleted"
    )
    first_token_ms = serializers.SerializerMethodField(help_text="null: no data")
    tokens_per_second = serializers.SerializerMethodField(help_text="null: no data")

    class Meta:
        model = Evaluation
        fields = [
            *("id", "release", "model", "version", "suite", "suite_name", "suite_digest", "suite_changed", "state"),
            *("reason", "total", "done", "passed", "score", "first_token_ms", "tokens_per_second", "by_kind"),
            *("by_name", "created_at", "expires_at", "started_at", "ended_at"),
        ]

    def get_suite_changed(self, evaluation: Evaluation) -> bool:
        return evaluation.suite is None or evaluation.suite.digest != evaluation.suite_digest

    @extend_schema_field(MeasuredSpreadSerializer(allow_null=True))
    def get_first_token_ms(self, evaluation: Evaluation) -> Any:
        return evaluation.speed.get("first_token_ms")

    @extend_schema_field(MeasuredSpreadSerializer(allow_null=True))
    def get_tokens_per_second(self, evaluation: Evaluation) -> Any:
        return evaluation.speed.get("tokens_per_second")


class EvaluationFilters(serializers.Serializer[Any]):
    state = serializers.ChoiceField(Evaluation.State.choices, required=False)
    suite = serializers.UUIDField(required=False, source="suite_id")
    release = serializers.UUIDField(required=False, source="release_id")
    model = serializers.CharField(
        required=False, max_length=340, source="release__model__name", help_text="without its tag"
    )


class EvaluationResultFilters(serializers.Serializer[Any]):
    passed = serializers.BooleanField(required=False, allow_null=True, default=None)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attrs.items() if value is not None}


class CheckOutcomeSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(cases.CHECKS)
    passed = serializers.BooleanField()
    detail = serializers.CharField(help_text="why it failed, or what the judge said")
    value = serializers.FloatField(required=False, help_text="judge: the grade; distance: the cosine distance")


class EvaluationResultSerializer(serializers.ModelSerializer[EvaluationResult]):
    checks = CheckOutcomeSerializer(many=True)
    answer = serializers.CharField()

    class Meta:
        model = EvaluationResult
        fields = [
            *("number", "name", "passed", "checks", "answer", "cut", "finish_reason", "prompt_tokens"),
            *("completion_tokens", "first_token_ms", "tokens_per_second", "duration_ms", "node", "request"),
            "created_at",
        ]


class ComparedSuiteSerializer(serializers.Serializer[Any]):
    """The last completed evaluations of two versions by one suite."""

    suite = serializers.UUIDField(allow_null=True, help_text="null: it was deleted")
    name = serializers.CharField()
    before = EvaluationSerializer(allow_null=True)
    after = EvaluationSerializer(allow_null=True)
    same_cases = serializers.BooleanField(allow_null=True, help_text="null: one of the two is missing")
