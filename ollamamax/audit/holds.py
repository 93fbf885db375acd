"""Legal holds: while one of a chain is in force, none of its records are dropped, and nobody whom it names is erased."""

from __future__ import annotations

import uuid

from django.db import models, transaction
from django.utils import timezone

from ollamamax.audit.actions import SYSTEM, lock, record
from ollamamax.audit.models import LegalHold
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal

MOST = 100


def holds(name: str) -> models.QuerySet[LegalHold]:
    """Of one chain, the newest first; those that were released too."""
    return LegalHold.objects.filter(chain=name).order_by("-id")


def place_hold(*, acting: Principal, name: str, reason: str) -> LegalHold:
    """Raises `Conflict` for one too many."""
    with transaction.atomic(durable=True):
        lock(name)
        if LegalHold.objects.filter(chain=name, released_at=None).count() >= MOST:
            raise Conflict(f"There are {MOST} legal holds in force already: release some.")
        found = LegalHold.objects.create(chain=name, reason=reason.strip(), placed_by=acting.id)
        record(
            acting=acting,
            action="audit.place_hold",
            target_type="audit",
            target_id=found.id,
            tenant=None if name == SYSTEM else name,
            detail={"reason": found.reason},
        )
    return found


def release_hold(*, acting: Principal, name: str, hold_id: uuid.UUID) -> LegalHold:
    """Raises `NotFound`; one that was released already stays as it is."""
    with transaction.atomic(durable=True):
        lock(name)
        found = LegalHold.objects.select_for_update().filter(chain=name, pk=hold_id).first()
        if found is None:
            raise NotFound("There is no such legal hold.")
        if found.released_at is None:
            found.released_at = timezone.now()
            found.save(update_fields=["released_at"])
            record(
                acting=acting,
                action="audit.release_hold",
                target_type="audit",
                target_id=found.id,
                tenant=None if name == SYSTEM else name,
                detail={"reason": found.reason},
            )
    return found


def require_no_hold(name: str) -> None:
    """In a transaction that holds the chain's lock. Raises `Conflict`."""
    if LegalHold.objects.filter(chain=name, released_at=None).exists():
        raise Conflict("The trail is under legal hold: release it first.")
