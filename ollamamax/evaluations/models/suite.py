"""EvaluationSuite: prompts with checks, by which versions of models are judged."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from ollamamax.evaluations.sealed import opened, sealed
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class EvaluationSuite(models.Model):
    """``cases`` are those of `ollamamax.evaluations.cases`, as JSON in the secret box; ``digest`` is the SHA-256 of their canonical JSON, by which
    results say what they were asked."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, default="", blank=True)
    sealed_cases = models.BinaryField()
    cases_count = models.PositiveIntegerField()
    digest = models.CharField(max_length=71)
    by_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    objects: models.Manager[EvaluationSuite] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="evaluations_suite_name_unique",
                violation_error_message="There is a suite of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(digest__regex="^sha256:[0-9a-f]{64}$"),
                name="evaluations_suite_digest_form",
                violation_error_message="A digest is sha256: and 64 hexadecimal digits.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Where the sealed cases lie, for the secret box."""
        return f"evaluations.suite:{self.id.hex}"

    @property
    def cases(self) -> list[dict[str, Any]]:
        """Raises `Conflict` when no key opens them."""
        found: list[dict[str, Any]] = opened(self.sealed_cases, self.place)
        return found

    def put_cases(self, cases: list[dict[str, Any]]) -> None:
        """Seal them; nothing is saved."""
        self.sealed_cases, self.cases_count = sealed(cases, self.place), len(cases)
