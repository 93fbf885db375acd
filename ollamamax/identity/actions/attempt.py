"""Attempts to log in: counted before the password is looked at, slowed when too many failed, and told to the audit trail.

Of refusals there is one audit record a minute for each address, with their number, and no more than a certain number in all:
whoever is refused often must not fill the trail.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import msgspec
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import throttle
from ollamamax.identity.models import LogInCounter
from ollamamax.identity.queries.member import find_user
from ollamamax.kernel.errors import Overloaded
from ollamamax.kernel.principal import system

TOLD_SECONDS = 60.0
_AT_ONCE = 100
_USED = "used"
"""The kind of what counts nothing, and is there once (`is_first_use`)."""


@dataclass(frozen=True)
class Attempt:
    """One attempt that was let through; it counts as a failure until `succeeded` says otherwise."""

    email: str
    network: str
    request: str

    @property
    def names(self) -> list[tuple[throttle.Kind, str]]:
        return [
            ("account", throttle.account_subject(self.email)),
            ("address", self.network),
            ("pair", throttle.pair_subject(self.email, self.network)),
        ]


def begin(*, email: str, address: str, request: str = "") -> Attempt:
    """Count an attempt before its password is looked at, so that many at once are counted too. Raises `Overloaded`.

    ``email`` in small letters, so that another case of the same address does not get attempts of its own.
    """
    attempt = Attempt(email, throttle.network_of(address), request)
    now = timezone.now()
    known = list(_named(attempt.names))
    full = _fullest(known, now)
    if full is None:
        LogInCounter.objects.bulk_create(
            (
                LogInCounter(kind=kind, subject=subject, at=now, expires_at=now)
                for kind, subject in attempt.names
                if (kind, subject) not in {(each.kind, each.subject) for each in known}
            ),
            ignore_conflicts=True,
        )
        with transaction.atomic(durable=True):
            held = list(_named(attempt.names).select_for_update())
            full = _fullest(held, now)
            if full is None:
                _add(held, now, 1.0)
    if full is not None:
        _refused(full, attempt, "session.lock_out")
        seconds = throttle.wait(_level(full, now), _kind(full))
        raise Overloaded("Too many failed attempts. Try again later.", retry_after=max(1.0, seconds))
    return attempt


def failed(attempt: Attempt) -> None:
    """The password was wrong, or there is no such user, or they were deactivated."""
    counter = _named([("address", attempt.network)]).first()
    if counter is not None:
        _refused(counter, attempt, "session.refuse")


def succeeded(attempt: Attempt, *, wholly: bool = True) -> None:
    """In the transaction of the log-in: the attempt does not count, and the address is one that the account is known at, unless a second
    factor is still to come."""
    now = timezone.now()
    held = list(_named(attempt.names).select_for_update())
    _add(held, now, -1.0)
    for counter in held if wholly else ():
        if counter.kind == "pair":
            counter.level = 0.0
            counter.trusted_until = counter.expires_at = now + datetime.timedelta(days=throttle.TRUSTED_DAYS)
            counter.save(update_fields=["level", "trusted_until", "expires_at"])


def count(kind: throttle.Kind, subject: str) -> None:
    """Count something that one address may do so often only. Raises `Overloaded`."""
    now = timezone.now()
    LogInCounter.objects.bulk_create(
        [LogInCounter(kind=kind, subject=subject, at=now, expires_at=now)], ignore_conflicts=True
    )
    with transaction.atomic(durable=True):
        [counter] = _named([(kind, subject)]).select_for_update()
        seconds = throttle.wait(_level(counter, now), kind)
        if seconds <= 0:
            _add([counter], now, 1.0)
    if seconds > 0:
        raise Overloaded("This was asked for too often. Try again later.", retry_after=max(1.0, seconds))


def give_back(kind: throttle.Kind, subject: str) -> None:
    """In a transaction: what `count` counted was right, and does not count."""
    _add(list(_named([(kind, subject)]).select_for_update()), timezone.now(), -1.0)


def is_first_use(secret: bytes, seconds: float) -> bool:
    """Whether what counts once is shown for the first time; ``seconds``: so long it could count. A session cannot say so: of requests at once each has
    a copy of it, and writes the whole back. Queries: 1, in a transaction of its own or the one that is there."""
    until = timezone.now() + datetime.timedelta(seconds=2 * seconds)
    subject = hashlib.sha256(secret).hexdigest()
    try:
        with transaction.atomic():
            LogInCounter.objects.create(kind=_USED, subject=subject, at=timezone.now(), expires_at=until)
    except IntegrityError:
        return False
    return True


def tell_and_sweep() -> None:
    """Write the records that are due about refusals that nobody came to tell of, and drop counters that say nothing any more."""
    now = timezone.now()
    due = now - datetime.timedelta(seconds=TOLD_SECONDS)
    for counter in LogInCounter.objects.filter(untold__gt=0, told_at__lte=due).order_by("told_at")[:_AT_ONCE]:
        _refused(counter, None, "session.refuse" if counter.kind == "address" else "session.lock_out", more=0)
    LogInCounter.objects.filter(expires_at__lt=now, untold=0).delete()


def _refused(counter: LogInCounter, attempt: Attempt | None, action: str, *, more: int = 1) -> None:
    """Count ``more`` refusals of this counter and, when a record of them is due and there is room for it, write it."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        held = LogInCounter.objects.select_for_update().filter(pk=counter.pk).first()
        if held is None:
            return
        held.untold += more
        is_due = held.told_at is None or (now - held.told_at).total_seconds() >= TOLD_SECONDS
        if is_due and held.untold and has_room(now):
            user = None if attempt is None else find_user(attempt.email)
            by_address = held.kind == "address"
            record(
                acting=msgspec.structs.replace(system("log-in"), request="" if attempt is None else attempt.request),
                action=action,
                target_type="address" if by_address else "user",
                target_id=held.subject if by_address else "unknown" if user is None else user.id,
                tenant=None,
                detail={"refused": held.untold}
                | ({} if attempt is None else {"address": attempt.network})
                | ({} if user is None else {"email": user.email}),
            )
            held.untold = 0
        if is_due:
            held.told_at = now
        held.expires_at = max(held.expires_at, now + datetime.timedelta(seconds=2 * TOLD_SECONDS))
        held.save(update_fields=["untold", "told_at", "expires_at"])


def has_room(now: datetime.datetime, kind: throttle.Kind = "audit", subject: str = "") -> bool:
    """In a transaction: whether there may be one more of this kind now, and then counts it; unless told otherwise, one more record of refusals."""
    made = LogInCounter(kind=kind, subject=subject, at=now, expires_at=now)
    LogInCounter.objects.bulk_create([made], ignore_conflicts=True)
    [counter] = _named([(kind, subject)]).select_for_update()
    if throttle.wait(_level(counter, now), kind) > 0:
        return False
    _add([counter], now, 1.0)
    return True


def _named(names: Iterable[tuple[throttle.Kind, str]]) -> models.QuerySet[LogInCounter]:
    """The counters of these names, in the one order in which they are locked."""
    wanted = models.Q()
    for kind, subject in names:
        wanted |= models.Q(kind=kind, subject=subject)
    return LogInCounter.objects.filter(wanted).order_by("kind", "subject")


def _fullest(counters: list[LogInCounter], now: datetime.datetime) -> LogInCounter | None:
    """Of the counters that count for this attempt, one that lets nothing through: that which does so longest."""
    trusted = any(each.trusted_until is not None and each.trusted_until > now for each in counters)
    counting = [each for each in counters if each.kind == "pair" or not trusted]
    waits = [(throttle.wait(_level(each, now), _kind(each)), each) for each in counting]
    longest = max(waits, key=lambda pair: pair[0], default=None)
    return longest[1] if longest is not None and longest[0] > 0 else None


def _add(counters: list[LogInCounter], now: datetime.datetime, amount: float) -> None:
    for counter in counters:
        counter.level = max(0.0, _level(counter, now) + amount)
        counter.at = now
        empty = now + datetime.timedelta(seconds=throttle.lasts(_kind(counter)))
        counter.expires_at = max(counter.expires_at, empty)
        counter.save(update_fields=["level", "at", "expires_at"])


def _level(counter: LogInCounter, now: datetime.datetime) -> float:
    return throttle.drained(counter.level, (now - counter.at).total_seconds(), _kind(counter))


def _kind(counter: LogInCounter) -> throttle.Kind:
    return cast("throttle.Kind", counter.kind)
