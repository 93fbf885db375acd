"""How many evaluations of a version are kept."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from ollamamax.evaluations.models import Evaluation


def forget_old(suite_id: uuid.UUID | None, releases: Collection[uuid.UUID], kept: int) -> None:
    """Of each of these versions' ended evaluations by this suite all but the last ``kept`` go. ``None``: of those by all suites that were deleted."""
    ended = Evaluation.objects.filter(suite_id=suite_id, release_id__in=releases).exclude(
        state__in=Evaluation.UNFINISHED
    )
    number = Window(RowNumber(), partition_by=F("release_id"), order_by=F("id").desc())
    old = list(ended.annotate(number=number).filter(number__gt=max(0, kept)).values_list("pk", flat=True))
    if old:
        Evaluation.objects.filter(pk__in=old).delete()
