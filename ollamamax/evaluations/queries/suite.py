"""Reads suites of the tenant in scope."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from ollamamax.evaluations.models import EvaluationSuite
from ollamamax.kernel.errors import NotFound


def suites() -> QuerySet[EvaluationSuite]:
    """Of the tenant in scope, the newest first, with what requires them."""
    return EvaluationSuite.objects.prefetch_related("requirements__model").order_by("-id")


def get_suite(suite_id: uuid.UUID) -> EvaluationSuite:
    """Raises `NotFound`."""
    found = suites().filter(pk=suite_id).first()
    if found is None:
        raise NotFound("There is no such suite.")
    return found


def lock_suite(suite_id: uuid.UUID) -> EvaluationSuite:
    """As `get_suite`, for a transaction that changes it or needs it to stay."""
    EvaluationSuite.objects.select_for_update().filter(pk=suite_id).first()
    return get_suite(suite_id)
