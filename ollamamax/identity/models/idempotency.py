"""IdempotentAnswer: what a creation with an ``Idempotency-Key`` was answered, so that its repetition creates nothing again."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class IdempotentAnswer(models.Model):
    """``caller`` is the kind and id of who created; ``fingerprint`` the SHA-256 of what was asked. ``status`` is ``None`` as long as
    there is no answer; ``answer`` lies in the secret box, since it may hold a secret that is shown once."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    caller = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    objects: models.Manager[IdempotentAnswer] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "caller", "key"],
                name="identity_idempotent_answer_unique",
                violation_error_message="This Idempotency-Key is used already.",
            ),
        ]

    def __str__(self) -> str:
        return self.key
