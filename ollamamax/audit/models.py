"""Audit records, the head of each chain, and what retention and erasure need. Records are written by `ollamamax.audit.actions` only."""

from __future__ import annotations

from typing import Any

from django.db import models

from ollamamax.kernel import ids


class AuditRecord(models.Model):
    """One thing that was done. ``chain`` is the tenant's UUID (hex) or ``system``; ``hash`` covers every other field but ``id``.

    ``format`` says which fields and what is hashed (`ollamamax.audit.chain`). From format 2 on ``personal`` holds what is
    personal, sealed; `ollamamax.audit.personal.opened` puts it back into ``actor_name``, ``address`` and ``detail`` of rows that were read. Lies in partitions of a month by
    ``at``, so the database's own key is (chain, seq, at). No foreign keys: a record outlives whoever and whatever it names.
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
    format = models.SmallIntegerField(db_default=1)
    outcome = models.CharField(max_length=16, db_default="ok")
    personal = models.JSONField(db_default=models.Value({}, models.JSONField()), blank=True)

    address: str = ""
    """From where, once it was opened."""
    erased: bool = False
    """Whether something of it cannot be opened any more, since its subject was erased."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "seq", "at"],
                name="audit_record_seq_at_unique",
                violation_error_message="The audit chain already has a record with this number.",
            ),
            models.CheckConstraint(
                condition=models.Q(seq__gte=1),
                name="audit_record_seq_positive",
                violation_error_message="Numbers of audit records begin at 1.",
            ),
        ]
        indexes = [
            models.Index(fields=["chain", "at", "seq"], name="audit_record_at"),
            models.Index(fields=["chain", "actor_id", "seq"], name="audit_record_actor"),
            models.Index(fields=["chain", "target_id", "seq"], name="audit_record_target"),
            models.Index(fields=["chain", "target_type", "seq"], name="audit_record_target_type"),
            models.Index(fields=["chain", "action", "seq"], name="audit_record_action"),
            models.Index(fields=["request"], name="audit_record_request", condition=~models.Q(request="")),
            models.Index(
                fields=["chain", "outcome", "seq"], name="audit_record_outcome", condition=~models.Q(outcome="ok")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq} {self.action}"


class ChainHead(models.Model):
    """The last record of a chain, moved by a trigger as records are added: a tail cut off is seen by it."""

    chain = models.CharField(max_length=32, primary_key=True)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq}"


class Checkpoint(models.Model):
    """Up to where a chain's records were dropped with a partition; the first that is kept follows ``hash``.

    ``signature`` (hex) is by the key of the signed notes (`ollamamax.audit.notes`), whose public half is ``key``, over the other fields. The user
    that everything runs as can read these rows only.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    chain = models.CharField(max_length=32)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    partition = models.CharField(max_length=63)
    key = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "seq"],
                name="audit_checkpoint_unique",
                violation_error_message="There is a checkpoint at this record already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq}"

    def signed(self) -> dict[str, Any]:
        """What the signature is over."""
        return {
            "chain": self.chain,
            "seq": self.seq,
            "hash": self.hash,
            "at": self.at,
            "partition": self.partition,
            "checkpoint": True,
        }


class LegalHold(models.Model):
    """While one of a chain is in force, no partition that holds records of the chain is dropped, and no subject of it is erased."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    chain = models.CharField(max_length=32)
    reason = models.CharField(max_length=300)
    placed_at = models.DateTimeField(auto_now_add=True)
    placed_by = models.CharField(max_length=64)
    released_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["chain", "-id"], name="audit_hold_chain")]

    def __str__(self) -> str:
        return self.id.hex


class SubjectKey(models.Model):
    """The key under which what is personal of one subject lies in the records of one chain; ``key`` is sealed, and null once destroyed.

    ``subject`` is a user's UUID (hex) or what `ollamamax.audit.personal` makes of an e-mail address; ``names`` are those by which
    records call it, sealed under the key itself, so that a search by name finds its records.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    chain = models.CharField(max_length=32)
    subject = models.CharField(max_length=64)
    key = models.BinaryField(null=True)
    names = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chain", "subject"],
                condition=models.Q(erased_at=None),
                name="audit_subject_key_unique",
                violation_error_message="This subject has a key already.",
            ),
            models.CheckConstraint(
                condition=models.Q(erased_at=None, key__isnull=False)
                | models.Q(erased_at__isnull=False, key=None, names=None),
                name="audit_subject_key_erased",
                violation_error_message="The key of an erased subject is destroyed.",
            ),
        ]

    def __str__(self) -> str:
        return self.id.hex
