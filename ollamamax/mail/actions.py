"""The outbox: letters are put into it in the transaction of what they tell of, claimed by one process at a time, and kept until a server takes them."""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from ollamamax import logs
from ollamamax.kernel.ids import uuid7
from ollamamax.kernel.retries import pause
from ollamamax.mail.letters import Kind, Language, Letter, letter
from ollamamax.mail.models import OutgoingMail
from ollamamax.secret_box import CannotOpen

LEASE = datetime.timedelta(minutes=5)
LASTS = datetime.timedelta(days=1)
KEPT = datetime.timedelta(days=7)
"""How long it is known that a letter was sent, or was not."""
_UNREADABLE = Letter("", "", "")
_log = logs.get(__name__)


def is_set_up() -> bool:
    """Whether this installation sends mail."""
    return settings.MAIL is not None


def queue_mail(
    *,
    to: str,
    kind: Kind,
    language: Language,
    values: Mapping[str, str],
    link: str = "",
    lasts: datetime.timedelta = LASTS,
) -> None:
    """Where no mail is set up, nothing happens. Raises `TransactionManagementError` outside a transaction. Queries: 1."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a letter must be written in the transaction of what it tells of")
    if not is_set_up():
        return
    now, key = timezone.now(), uuid7()
    sealed = settings.SECRET_BOX.seal(msgspec.json.encode(letter(kind, language, values, link)), place_of(key))
    OutgoingMail.objects.create(id=key, to=to, kind=kind, letter=sealed, next_at=now, until=now + lasts)


@dataclass(frozen=True)
class Mailing:
    id: uuid.UUID
    to: str
    letter: Letter


def claim_mail(runner: str, most: int) -> list[Mailing]:
    """Letters that are due become this runner's for a while. Queries: 2."""
    with transaction.atomic(durable=True):
        now = timezone.now()
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        due = OutgoingMail.objects.filter(free, state=OutgoingMail.State.WAITING, next_at__lte=now)
        rows = list(due.order_by("next_at").select_for_update(skip_locked=True)[:most])
        OutgoingMail.objects.filter(pk__in=[row.pk for row in rows]).update(runner=runner, lease_until=now + LEASE)
    mailings: list[Mailing] = []
    for row in rows:
        try:
            opened = settings.SECRET_BOX.open(bytes(row.letter), place_of(row.pk))
            mailings.append(Mailing(row.pk, row.to, msgspec.json.decode(opened, type=Letter)))
        except (CannotOpen, msgspec.MsgspecError):
            # One letter that cannot be read any more keeps no other one back.
            finish_mail(Mailing(row.pk, row.to, _UNREADABLE), runner, "It cannot be read any more.", for_good=True)
    return mailings


def finish_mail(mailing: Mailing, runner: str, error: str = "", *, for_good: bool = False) -> None:
    """Write down that a letter was sent, or why it was not; ``for_good``: the server will never take it. Queries: 2."""
    with transaction.atomic(durable=True):
        mine = OutgoingMail.objects.select_for_update().filter(pk=mailing.id, runner=runner)
        row = mine.filter(state=OutgoingMail.State.WAITING).first()
        if row is None:
            return
        now = timezone.now()
        row.tries, row.error, row.runner, row.lease_until = row.tries + 1, error[:300], "", None
        row.next_at = now + datetime.timedelta(seconds=pause(row.tries, random.random(), first=20.0, most=3600.0))  # noqa: S311 - spreads attempts, hides nothing
        if not error or for_good or row.next_at > row.until:
            row.state = OutgoingMail.State.FAILED if error else OutgoingMail.State.SENT
            row.letter, row.ended_at = b"", now
        row.save()
    if row.state == OutgoingMail.State.FAILED:
        _log.warning("mail_not_sent", mail=row.id.hex, kind=row.kind, tries=row.tries, error=row.error)
    elif row.state == OutgoingMail.State.SENT:
        _log.info("mail_sent", mail=row.id.hex, kind=row.kind)


def sweep_mail() -> int:
    """Forget what is over for a while, and letters that nobody took in their time. Queries: 2."""
    now = timezone.now()
    late = OutgoingMail.objects.filter(state=OutgoingMail.State.WAITING, until__lt=now)
    late.update(state=OutgoingMail.State.FAILED, ended_at=now, letter=b"", runner="", lease_until=None)
    return OutgoingMail.objects.filter(ended_at__lt=now - KEPT).delete()[0]


def place_of(key: uuid.UUID) -> str:
    """What a letter is sealed for."""
    return f"mail:{key.hex}"
