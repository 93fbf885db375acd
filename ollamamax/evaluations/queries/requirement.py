"""Reads what promotion requires, and what a version lacks of it."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet

from models_registry.models import Release
from ollamamax.evaluations.models import EvaluationRequirement
from ollamamax.evaluations.queries.evaluation import last_completed
from ollamamax.kernel.errors import NotFound


def requirements() -> QuerySet[EvaluationRequirement]:
    """Of the tenant in scope, the newest first."""
    return EvaluationRequirement.objects.select_related("suite", "model").defer("suite__sealed_cases").order_by("-id")


def get_requirement(requirement_id: uuid.UUID) -> EvaluationRequirement:
    """Raises `NotFound`."""
    found = requirements().filter(pk=requirement_id).first()
    if found is None:
        raise NotFound("There is no such requirement.")
    return found


def unmet_requirements(release: Release) -> list[str]:
    """What the version lacks before it may become production, a sentence for each suite. What counts is its last completed evaluation, of the suite as it
    is now: neither a better one before, nor one of other cases. Queries: 1, and 1 for each requirement."""
    counting = requirements().filter(Q(model=None) | Q(model_id=release.model_id))
    found = []
    for requirement in counting.order_by("suite__name", "-least_score"):
        suite = requirement.suite
        last = last_completed(release, suite)
        needed = f"the suite '{suite.name}' requires a score of at least {requirement.least_score:.0%}"
        if last is None or last.score is None:
            found.append(f"{needed}, and the version was not evaluated by it.")
        elif last.suite_digest != suite.digest:
            found.append(f"{needed}, and its cases were changed since the version was evaluated.")
        elif last.score < requirement.least_score:
            found.append(f"{needed}, and the version has {last.score:.1%} ({last.passed} of {last.total} cases).")
    return [f"{each[0].upper()}{each[1:]}" for each in found]
