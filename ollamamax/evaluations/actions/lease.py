"""Which runner works on which evaluation. What runners write of their work is in `progress`."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db.models.functions import Coalesce, Now

from ollamamax.batches.actions.bounded import bounded
from ollamamax.bus import work_lease
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.evaluations.models import Evaluation
from ollamamax.evaluations.queries.evaluation import unfinished
from ollamamax.identity.scope import every_tenant

WORK = "evaluations"
"""What runners are called for (`ollamamax.bus.work_calls`)."""
OF_ONE_TENANT = 2
"""Evaluations of a tenant that a runner has under way at once, so that one with many does not keep others waiting."""


def claim_evaluation(runner: str) -> uuid.UUID | None:
    """The oldest evaluation that nobody works on becomes this runner's."""
    begun = {"state": Evaluation.State.RUNNING, "started_at": Coalesce("started_at", Now())}
    with every_tenant(), bounded():
        return work_lease.claim(unfinished(), runner, of_one_tenant=OF_ONE_TENANT, **begun)


def renew_leases(runner: str, evaluations: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``evaluations`` that are still this runner's, for a while longer; one that was cancelled is nobody's."""
    if not evaluations:
        return set()
    with every_tenant():
        held = work_lease.renew(unfinished().filter(pk__in=evaluations), runner)
        return set(held.values_list("pk", flat=True))


def give_back(runner: str, evaluation_id: uuid.UUID) -> None:
    """Another runner may take it at once."""
    with every_tenant():
        work_lease.give_back(unfinished().filter(pk=evaluation_id), runner)
        call_on_commit(WORK)
