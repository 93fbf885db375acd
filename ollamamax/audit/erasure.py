"""Erasure of a person from one chain: their key is destroyed, so that no record tells their name or address any more; every hash stays right."""

from __future__ import annotations

from django.db import transaction

from ollamamax.audit.actions import SYSTEM, lock, record
from ollamamax.audit.holds import require_no_hold
from ollamamax.audit.personal import destroy, subject_of_email
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


def erase_subject(*, acting: Principal, name: str, user: str = "", email: str = "", reason: str) -> int:
    """Of the person with this id (hex), this e-mail address, or both; how many keys were destroyed.

    The record of it names the user's id alone. Raises `NotFound` where the chain knows nobody of that, and `Conflict` under a legal hold.
    """
    subjects = [*([user] if user else []), *([subject_of_email(email)] if email else [])]
    with transaction.atomic(durable=True):
        lock(name)
        require_no_hold(name)
        count = sum(destroy(name, each) for each in subjects)
        if not count:
            raise NotFound("The trail names nobody of that, or they were erased already.")
        record(
            acting=acting,
            action="audit.erase_subject",
            target_type="user" if user else "person",
            target_id=user,
            tenant=None if name == SYSTEM else name,
            detail={"reason": reason, "keys": count},
        )
    return count
