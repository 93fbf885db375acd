"""Reads evaluations and their results."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from models_registry.models import Release
from models_registry.queries.model import get_channel
from models_registry.queries.release import get_release, release_in
from models_registry.rollout.evaluation import ReachedScore, SuiteScores
from ollamamax.evaluations.models import Evaluation, EvaluationResult, EvaluationSuite
from ollamamax.evaluations.scoring import MeasuredCase
from ollamamax.identity.queries.key import usable_keys
from ollamamax.identity.queries.role import restrict
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

_SEEN = ("model.view", "model.manage")


def evaluations(acting: Principal) -> QuerySet[Evaluation]:
    """Of models that ``acting`` may see, the newest first; their cases are left out."""
    found = Evaluation.objects.select_related("release__model", "release__version", "suite")
    found = found.defer("sealed_cases", "suite__sealed_cases")
    return restrict(acting, _SEEN, "model", found.order_by("-id"), "release__model")


def evaluations_of(acting: Principal, release_id: uuid.UUID) -> QuerySet[Evaluation]:
    """Of one version, the newest first. Raises `NotFound`."""
    return evaluations(acting).filter(release=get_release(acting, release_id))


def get_evaluation(acting: Principal, evaluation_id: uuid.UUID) -> Evaluation:
    """Raises `NotFound`."""
    found = evaluations(acting).filter(pk=evaluation_id).first()
    if found is None:
        raise NotFound("There is no such evaluation.")
    return found


def results_of(acting: Principal, evaluation_id: uuid.UUID) -> QuerySet[EvaluationResult]:
    """What came of its cases so far, in their order. Raises `NotFound`."""
    return EvaluationResult.objects.filter(evaluation=get_evaluation(acting, evaluation_id)).order_by("number")


@dataclass(frozen=True)
class ComparedSuite:
    """The last completed evaluations of two versions by one suite. ``same_cases``: whether both were asked the same; null where one is missing."""

    suite: uuid.UUID | None
    name: str
    before: Evaluation | None
    after: Evaluation | None

    @property
    def same_cases(self) -> bool | None:
        if self.before is None or self.after is None:
            return None
        return self.before.suite_digest == self.after.suite_digest


def compared(acting: Principal, channel_id: uuid.UUID, before: str, after: str) -> list[ComparedSuite]:
    """Of each suite by which one of the two versions of the channel's model was evaluated, by name. Raises `NotFound`."""
    channel = get_channel(acting, channel_id)
    left, right = (_last_by_suite(release_in(channel, digest)) for digest in (before, after))
    suites = {key: each for found in (left, right) for key, each in found.items()}
    return [
        ComparedSuite(each.suite_id, each.suite_name, left.get(key), right.get(key))
        for key, each in sorted(suites.items(), key=lambda item: (item[1].suite_name, item[0]))
    ]


def _last_by_suite(release: Release) -> dict[str, Evaluation]:
    """Of suites that were deleted too, by their name then."""
    completed = Evaluation.objects.filter(release=release, state=Evaluation.State.COMPLETED)
    completed = completed.defer("sealed_cases", "suite__sealed_cases")
    found: dict[str, Evaluation] = {}
    for each in completed.select_related("release__model", "release__version", "suite").order_by("-ended_at", "-id"):
        found.setdefault(str(each.suite_id or f"deleted {each.suite_name}"), each)
    return found


def last_completed(release: Release, suite: EvaluationSuite) -> Evaluation | None:
    """What counts of a version and a suite: the last, and not the best. One query."""
    completed = Evaluation.objects.filter(release=release, suite=suite, state=Evaluation.State.COMPLETED)
    return completed.defer("sealed_cases").order_by("-ended_at", "-id").first()


def scores_in_suite(suite_id: uuid.UUID, new: Release, old: Release | None) -> SuiteScores:
    """What two versions reached in a suite of the tenant in scope, for a rollout's gate. Up to three queries."""
    suite = EvaluationSuite.objects.filter(pk=suite_id).defer("sealed_cases").first()
    if suite is None:
        return SuiteScores()
    return SuiteScores(suite.name, _reached(new, suite), None if old is None else _reached(old, suite))


def _reached(release: Release, suite: EvaluationSuite) -> ReachedScore | None:
    last = last_completed(release, suite)
    if last is None or last.score is None:
        return None
    return ReachedScore(last.score, last.passed, last.total, last.suite_digest == suite.digest)


def unfinished() -> QuerySet[Evaluation]:
    return Evaluation.objects.filter(state__in=Evaluation.UNFINISHED)


def held_evaluation(evaluation_id: uuid.UUID, runner: str) -> Evaluation | None:
    """With its key and version, if this runner still holds it."""
    with every_tenant():
        found = unfinished().select_related("key", "release__model", "release__version")
        return found.filter(pk=evaluation_id, runner=runner).first()


def numbers_with_result(evaluation: Evaluation) -> set[int]:
    with tenant_scope(evaluation.tenant_id):
        return set(EvaluationResult.objects.filter(evaluation=evaluation).values_list("number", flat=True))


def measured_of(evaluation: Evaluation) -> Iterable[MeasuredCase]:
    """In the tenant's scope. One query."""
    rows = EvaluationResult.objects.filter(evaluation=evaluation).order_by("number")
    return [MeasuredCase(*each) for each in rows.values_list("first_token_ms", "tokens_per_second")]


def key_of_evaluation_works(evaluation: Evaluation) -> bool:
    """Whether the key that it runs as is neither revoked nor expired, by Postgres."""
    with every_tenant():
        return usable_keys().filter(pk=evaluation.key_id).exists()
