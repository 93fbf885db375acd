"""Erasure of a person from one chain: their key is destroyed, so that no record tells their name or address any more; every hash stays right."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.db import transaction

from ollamamax.audit.actions import SYSTEM, lock, record
from ollamamax.audit.holds import require_no_hold
from ollamamax.audit.personal import destroy, subject_of_email
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

Erase = Callable[[uuid.UUID, str, str], int]
"""Deletes what a tenant has of a person outside of the trail, by the person's id (hex) or e-mail address, either of which may be empty, in
the transaction that there is; returns how many things that were."""
ELSEWHERE: dict[str, Erase] = {}
"""By what it deletes. Every context adds what only it knows, when the programs start."""


def erase_subject(*, acting: Principal, name: str, user: str = "", email: str = "", reason: str) -> dict[str, int]:
    """Of the person with this id (hex), this e-mail address, or both: how many ``keys`` were destroyed, and how much of theirs was deleted
    of each kind of `ELSEWHERE`.

    The record of it names the user's id alone. Raises `NotFound` where nothing is known of that person, and `Conflict` under a legal hold.
    """
    subjects = [*([user] if user else []), *([subject_of_email(email)] if email else [])]
    with transaction.atomic(durable=True):
        lock(name)
        require_no_hold(name)
        counts = {"keys": sum(destroy(name, each) for each in subjects)}
        for kind, erase in ELSEWHERE.items() if name != SYSTEM else ():
            counts[kind] = erase(uuid.UUID(name), user, email)
        if not any(counts.values()):
            raise NotFound("The trail names nobody of that, or they were erased already.")
        record(
            acting=acting,
            action="audit.erase_subject",
            target_type="user" if user else "person",
            target_id=user,
            tenant=None if name == SYSTEM else name,
            detail={"reason": reason, **counts},
        )
    return counts
