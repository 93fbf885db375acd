"""Evaluation: one version of a model judged by one suite; EvaluationResult: what came of one of its cases."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from models_registry.models import Release
from ollamamax.evaluations.models.suite import EvaluationSuite
from ollamamax.evaluations.sealed import opened, sealed
from ollamamax.identity.models import ApiKey
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids

STATES = ["waiting", "running", "completed", "failed", "cancelled"]


class Evaluation(models.Model):
    """``cases`` are the suite's as they were when it was ordered, in the secret box, with ``suite_digest``; both stay when the suite is changed or deleted.

    ``passed`` of ``done`` of ``total`` cases; ``score`` is their share once all are done, and null before. ``speed`` is what was measured, see
    `ollamamax.evaluations.scoring`. ``reason`` says why one failed. ``runner`` works on it until ``lease_until``, by the database's clock.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    UNFINISHED = (State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="evaluations")
    suite = models.ForeignKey(
        EvaluationSuite, on_delete=models.SET_NULL, null=True, blank=True, related_name="evaluations"
    )
    suite_name = models.CharField(max_length=100)
    suite_digest = models.CharField(max_length=71)
    sealed_cases = models.BinaryField()
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=1000, default="", blank=True)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    passed = models.PositiveIntegerField(default=0)
    score = models.FloatField(null=True, blank=True)
    speed = models.JSONField(default=dict)
    by_kind = models.CharField(max_length=16)
    by_id = models.CharField(max_length=100)
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    runner = models.CharField(max_length=32, default="", blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    objects: models.Manager[Evaluation] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"],
                name="evaluations_unfinished",
                condition=models.Q(state__in=["waiting", "running"]),
            ),
            models.Index(fields=["release", "suite", "-id"], name="evaluations_of_release"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=STATES),
                name="evaluations_state_known",
                violation_error_message="Not a state of an evaluation.",
            ),
            models.CheckConstraint(
                condition=models.Q(passed__lte=models.F("done"), done__lte=models.F("total")),
                name="evaluations_counts_within_total",
                violation_error_message="An evaluation cannot have more results than cases.",
            ),
            models.CheckConstraint(
                condition=models.Q(state="completed") ^ models.Q(score=None),
                name="evaluations_score_when_completed",
                violation_error_message="An evaluation has a score when it is completed, and not before.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.suite_name}: {self.state}"

    @property
    def place(self) -> str:
        """Where the sealed cases lie, for the secret box."""
        return f"evaluations.evaluation:{self.id.hex}"

    @property
    def cases(self) -> list[dict[str, Any]]:
        """Raises `Conflict` when no key opens them."""
        found: list[dict[str, Any]] = opened(self.sealed_cases, self.place)
        return found

    def put_cases(self, cases: list[dict[str, Any]]) -> None:
        """Seal them; nothing is saved."""
        self.sealed_cases, self.total = sealed(cases, self.place), len(cases)


class EvaluationResult(models.Model):
    """``answer`` is cut, and says so in ``cut``. ``checks`` are ``{"kind", "passed", "detail"}`` in the case's order, with ``value`` where one was
    measured; a judge's words are in it. Both are together in the secret box.

    Times are in milliseconds; what was not measured is null.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    evaluation = models.ForeignKey(Evaluation, on_delete=models.CASCADE, related_name="results")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    passed = models.BooleanField()
    sealed_outcome = models.BinaryField()
    cut = models.BooleanField(default=False)
    finish_reason = models.CharField(max_length=32, default="", blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.FloatField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    duration_ms = models.FloatField(null=True, blank=True)
    node = models.CharField(max_length=100, default="", blank=True)
    request = models.CharField(max_length=32, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[EvaluationResult] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["evaluation", "number"],
                name="evaluations_result_once",
                violation_error_message="This case has its result already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.passed}"

    @property
    def place(self) -> str:
        """Where the sealed outcome lies, for the secret box."""
        return f"evaluations.result:{self.id.hex}"

    @property
    def answer(self) -> str:
        """Raises `Conflict` when no key opens it."""
        return str(opened(self.sealed_outcome, self.place)["answer"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        """Raises `Conflict` when no key opens them."""
        found: list[dict[str, Any]] = opened(self.sealed_outcome, self.place)["checks"]
        return found

    def put_outcome(self, answer: str, checks: list[dict[str, Any]]) -> None:
        """Seal it; nothing is saved."""
        self.sealed_outcome = sealed({"answer": answer, "checks": checks}, self.place)
