"""Audit records and the head of each chain. Written by `ollamamax.audit.actions.record` only; triggers refuse more."""

from __future__ import annotations

from django.db import models


class AuditRecord(models.Model):
    """One thing that was done. ``chain`` is the tenant's UUID (hex) or ``system``; ``hash`` covers every other field.

    No foreign keys: a record outlives whoever and whatever it names.
    """

    chain = models.CharField(max_length=32)
    seq = models.BigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=300)
    action = models.CharField(max_length=64)
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=200)
    request = models.CharField(max_length=64, blank=True)
    detail = models.JSONField()
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "seq"],
                name="audit_record_seq_unique",
                violation_error_message="The audit chain already has a record with this number.",
            ),
            models.CheckConstraint(
                condition=models.Q(seq__gte=1),
                name="audit_record_seq_positive",
                violation_error_message="Numbers of audit records begin at 1.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq} {self.action}"


class ChainHead(models.Model):
    """The last record of a chain, moved by a trigger as records are added: a tail cut off is seen by it."""

    chain = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq}"
