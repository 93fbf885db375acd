"""How far an evaluation got, written by the runner that holds it. Each write is one transaction and names the runner.

One that another runner has claimed meanwhile, or that was cancelled, is left alone: `LeaseLost` is raised, and nothing was written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import models
from django.utils import timezone

from ollamamax.batches.actions.bounded import bounded
from ollamamax.batches.actions.progress import LeaseLost
from ollamamax.evaluations.models import Evaluation, EvaluationResult
from ollamamax.evaluations.queries.evaluation import measured_of, unfinished
from ollamamax.evaluations.scoring import score_of, speed_of
from ollamamax.identity.scope import tenant_scope

MOST_REASON = 1000


@dataclass(frozen=True)
class CaseResult:
    """What `EvaluationResult` keeps of one case; times in milliseconds."""

    number: int
    name: str
    passed: bool
    checks: list[dict[str, Any]]
    answer: str
    cut: bool
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    first_token_ms: float | None
    tokens_per_second: float | None
    duration_ms: float
    node: str
    request: str


def add_result(evaluation: Evaluation, runner: str, result: CaseResult) -> None:
    """Store it and count it, together or not at all. Raises `LeaseLost`, and `IntegrityError` where it was stored already."""
    with tenant_scope(evaluation.tenant_id), bounded():
        # First of all: it locks the row, so that it cannot be claimed by another until this is over.
        counted = (
            unfinished()
            .filter(pk=evaluation.pk, runner=runner)
            .update(done=models.F("done") + 1, passed=models.F("passed") + int(result.passed))
        )
        if not counted:
            raise LeaseLost
        kept = asdict(result)
        answer, checks = kept.pop("answer"), kept.pop("checks")
        made = EvaluationResult(tenant_id=evaluation.tenant_id, evaluation_id=evaluation.pk, **kept)
        made.put_outcome(answer, checks)
        made.save(force_insert=True)


def complete(evaluation: Evaluation, runner: str) -> None:
    """Every case has its result: write what they come to. Raises `LeaseLost`."""
    with tenant_scope(evaluation.tenant_id), bounded():
        now = unfinished().select_for_update().filter(pk=evaluation.pk, runner=runner).first()
        if now is None:
            raise LeaseLost
        now.state, now.score, now.speed = (
            Evaluation.State.COMPLETED,
            score_of(now.passed, now.total),
            speed_of(measured_of(now)),
        )
        _end(now)


def fail(evaluation: Evaluation, runner: str, reason: str) -> None:
    """It could not be carried out, which says nothing of the version. Raises `LeaseLost`."""
    with tenant_scope(evaluation.tenant_id), bounded():
        now = unfinished().select_for_update().filter(pk=evaluation.pk, runner=runner).first()
        if now is None:
            raise LeaseLost
        now.state, now.reason = Evaluation.State.FAILED, reason[:MOST_REASON].replace("\0", "\ufffd")
        _end(now)


def _end(evaluation: Evaluation) -> None:
    evaluation.ended_at = timezone.now()
    evaluation.runner, evaluation.lease_until = "", None
    evaluation.save(update_fields=["state", "score", "speed", "reason", "ended_at", "runner", "lease_until"])
