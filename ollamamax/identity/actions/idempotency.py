"""Keeps what creations with an ``Idempotency-Key`` were answered: a repetition gets the same answer, and creates nothing.

Whoever died between a creation and its answer leaves a row without one: then nobody knows, and nothing is tried again under this key.
"""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.identity.bounds import IDEMPOTENT_ANSWERS, require_room
from ollamamax.identity.models import IdempotentAnswer
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Conflict
from ollamamax.secret_box import CannotOpen

LIFETIME = datetime.timedelta(hours=24)
PATIENCE = datetime.timedelta(seconds=60)
"""So long a creation counts as under way; nobody waits longer for its answer."""


@dataclass(frozen=True)
class KeptCreation:
    """The answer there was: its status, and its body as JSON."""

    status: int
    body: bytes


def claim(*, tenant: uuid.UUID, caller: str, key: str, fingerprint: str) -> uuid.UUID | KeptCreation:
    """``caller`` is the kind and id of who creates. The id to `keep` the answer of a creation under, or the answer of the one that there was. In the tenant's scope.

    Raises `Conflict` for a key that was used for something else, whose creation is under way, or of which nobody knows how it
    ended; and `Overloaded` for a tenant with too many answers. Queries: 3, or 2 for a repetition.
    """
    now = timezone.now()
    rows = IdempotentAnswer.objects.filter(caller=caller, key=key)
    rows.filter(expires_at__lte=now).delete()
    found = rows.first()
    if found is None:
        try:
            with transaction.atomic():
                require_room(IDEMPOTENT_ANSWERS, IdempotentAnswer.objects.filter(expires_at__gt=now))
                made = IdempotentAnswer.objects.create(
                    tenant_id=tenant,
                    caller=caller,
                    key=key,
                    fingerprint=fingerprint,
                    expires_at=now + LIFETIME,
                )
        except IntegrityError:
            found = rows.get()  # another one of the same came first
        else:
            return made.id
    if found.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for another request.", header="Idempotency-Key")
    if found.status is not None:
        return KeptCreation(found.status, _opened(found))
    if found.created_at + PATIENCE > now:
        raise Conflict("A request with this Idempotency-Key is under way.", retry_after=1.0, header="Idempotency-Key")
    raise Conflict(
        "How the request with this Idempotency-Key ended is not known: look whether it did what it should, and use another key.",
        header="Idempotency-Key",
    )


def keep(id_: uuid.UUID, status: int, body: bytes) -> None:
    sealed = settings.SECRET_BOX.seal(body, place_of(id_))
    IdempotentAnswer.objects.filter(pk=id_).update(status=status, answer=sealed)


def forget(id_: uuid.UUID) -> None:
    """Nothing was created: the key may be used again."""
    IdempotentAnswer.objects.filter(pk=id_).delete()


def sweep() -> int:
    """Delete what has expired, of every tenant; how many. Queries: 1."""
    with every_tenant():
        return IdempotentAnswer.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _opened(row: IdempotentAnswer) -> bytes:
    try:
        opened: bytes = settings.SECRET_BOX.open(bytes(row.answer), place_of(row.id))
    except CannotOpen as error:
        raise Conflict(
            "The answer of this Idempotency-Key cannot be read any more.", header="Idempotency-Key"
        ) from error
    return opened


def place_of(id_: uuid.UUID) -> str:
    """What an answer is sealed for."""
    return f"idempotent answer {id_.hex}"
