"""A new password by mail: asked for by anybody, answered by a loop, and set by who has the letter's link."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import cast

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import sockets, throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.account import end_sessions_on_commit
from ollamamax.identity.actions.user import set_password
from ollamamax.identity.models import PasswordReset, User
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.queries.session import sessions_of
from ollamamax.identity.tokens import hash_of, new_token
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal, system
from ollamamax.mail.actions import is_set_up, queue_mail
from ollamamax.mail.letters import Language

WORKS = datetime.timedelta(minutes=30)
PAUSE = datetime.timedelta(minutes=2)
"""Between two letters to one address, of which there are a few a day (`throttle.PACES`)."""
KEPT = datetime.timedelta(days=1)
_AT_ONCE = 100


def ask_for_reset(*, email: str, language: Language, address: str) -> None:
    """Remember that somebody asked. Takes the same time, and says the same, whether there is such a user or not.

    Raises `Conflict` where no mail is sent at all, and `Overloaded` for an address that asks too often.
    """
    if not is_set_up():
        raise Conflict("This installation sends no mail (OLLAMAMAX_SMTP_HOST): ask its operator for a new password.")
    attempt.count("reset", throttle.network_of(address))
    now = timezone.now()
    PasswordReset.objects.create(email=email.strip().lower(), language=language, expires_at=now + KEPT)


def answer_resets(check: Callable[[], None] = lambda: None) -> int:
    """Write the letters that were asked for, to users who log in by password; how many were asked for. Safe to run twice."""
    asked = list(PasswordReset.objects.filter(answered_at=None).order_by("created_at")[:_AT_ONCE])
    for each in asked:
        with transaction.atomic(durable=True):
            check()
            _answer(each)
    return len(asked)


def _answer(asked: PasswordReset) -> None:
    row = PasswordReset.objects.select_for_update().filter(pk=asked.pk, answered_at=None).first()
    if row is None:
        return
    now = timezone.now()
    row.answered_at = now
    user = find_user(row.email)
    # One without a password logs in elsewhere: a letter must not be a way around that.
    if user is not None and user.is_active and user.has_usable_password():
        recent = PasswordReset.objects.filter(user=user, answered_at__gt=now - PAUSE)
        if not recent.exists() and attempt.has_room(now, "reset_to", user.pk.hex):
            token = new_token()
            row.user, row.token_hash, row.expires_at = user, token.hash, now + WORKS
            values = {"email": user.email, "minutes": str(int(WORKS.total_seconds() // 60))}
            link = f"{settings.PUBLIC_URL}/reset#{token.text}"
            language = cast("Language", row.language)
            queue_mail(to=user.email, kind="reset", language=language, values=values, link=link, lasts=WORKS)
            record(
                acting=system("password-reset"),
                action="user.send_reset",
                target_type="user",
                target_id=user.id,
                tenant=None,
                detail={"email": user.email},
            )
    row.save()


def reset_password(*, token: str, password: str, request_id: str = "") -> User:
    """Set the password of whose letter's link this is: it works once. Every session of theirs ends, and what else was asked for.

    Raises `NotFound` for a link that does not work, and `InvalidRequest` for a password that is too weak, after which the link still works.
    """
    now = timezone.now()
    with transaction.atomic(durable=True):
        rows = PasswordReset.objects.select_for_update().filter(token_hash=hash_of(token), used_at=None)
        row = rows.filter(expires_at__gt=now, user__is_active=True).first()
        if row is None or row.user_id is None:
            raise NotFound("This link was used, or has expired. Ask for another one.")
        user = User.objects.select_for_update().get(pk=row.user_id)
        set_password(user, password)
        user.save(update_fields=["password"])
        PasswordReset.objects.filter(user=user, used_at=None).update(used_at=now)
        end_sessions_on_commit([each.pk for each in sessions_of(user.pk)])
        queue_mail(
            to=user.email,
            kind="password_changed",
            language=cast("Language", row.language),
            values={"email": user.email},
        )
        record(
            acting=Principal("user", user.id.hex, None, user.email, request=request_id),
            action="user.reset_password",
            target_type="user",
            target_id=user.id,
            tenant=None,
            detail={"email": user.email},
        )
        sockets.recheck_on_commit([user.pk])
    return user


def sweep_resets() -> None:
    """Forget what is over. Queries: 1."""
    PasswordReset.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()
