"""Writes of codes and refresh tokens: each counts once, and whoever shows one again ends all tokens that came of it."""

from __future__ import annotations

import datetime
import secrets
import uuid
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.actions import attempt
from ollamamax.identity.keys import hash_secret
from ollamamax.identity.models import UserSession
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.principal import Principal, system
from ollamamax.oauth.models import Application, AuthorizationCode, RefreshToken, TokenFamily, Workload
from ollamamax.oauth.queries.standing import Standing

CODE_SECONDS = 60
FAMILY_DAYS = 30
"""How long refresh tokens may follow one another, whatever else lasts."""
KEPT_DAYS = 1
"""How long after its end a code is known, so that it is noticed when it is shown again."""
MOST_OPEN = 20
"""Of the codes and of the families that one session has of one application; the oldest goes."""

_log = logs.get(__name__)


def keep_code(
    *,
    by: Principal,
    application: Application,
    standing: Standing,
    session: UserSession,
    auth_time: float,
    redirect_uri: str,
    scope: str,
    nonce: str,
    challenge: str,
) -> str:
    """In a transaction, in the scope of the tenant: a person is let into an application. Returns the code, which counts for a minute."""
    now = timezone.now()
    text = secrets.token_urlsafe(32)
    AuthorizationCode.objects.create(
        tenant_id=application.tenant_id,
        application=application,
        user=standing.user,
        session=session,
        code_hash=hash_secret(text),
        redirect_uri=redirect_uri,
        scope=scope,
        nonce=nonce,
        challenge=challenge,
        auth_time=datetime.datetime.fromtimestamp(auth_time, datetime.UTC),
        expires_at=now + datetime.timedelta(seconds=CODE_SECONDS),
    )
    old = AuthorizationCode.objects.filter(session=session, application=application).order_by("-id")[MOST_OPEN:]
    AuthorizationCode.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
    Application.objects.filter(pk=application.pk).update(used_at=now)
    record(
        acting=by,
        action="application.log_in",
        target_type="application",
        target_id=application.pk,
        tenant=application.tenant_id,
        detail={"name": application.name, "scope": scope},
    )
    return text


def refuse_person(*, acting: Principal, application: Application, why: str) -> None:
    """Into the tenant's audit trail, as long as there are not too many."""
    with transaction.atomic(durable=True):
        if attempt.has_room(timezone.now()):
            record(
                acting=acting,
                action="application.refuse",
                target_type="application",
                target_id=application.pk,
                tenant=application.tenant_id,
                detail={"name": application.name, "why": why},
            )


def take_code(application: Application, text: str) -> AuthorizationCode | None:
    """In a transaction, which must be committed whatever is made of it: the application's code, locked. ``None`` for one that does not count;
    the tokens of one that was used are revoked."""
    found = AuthorizationCode.objects.select_for_update().filter(application=application, code_hash=hash_secret(text))
    code = found.first()
    if code is None:
        return None
    if code.used_at is not None:
        if code.family_id is not None:
            revoke_family(code.family_id, TokenFamily.Because.CODE_REUSED)
        return None
    return code if code.expires_at > timezone.now() else None


def begin_family(code: AuthorizationCode) -> TokenFamily:
    """In a transaction: use the code."""
    now = timezone.now()
    family = TokenFamily.objects.create(
        tenant_id=code.tenant_id,
        application_id=code.application_id,
        user_id=code.user_id,
        session_id=code.session_id,
        scope=code.scope,
        auth_time=code.auth_time,
        expires_at=now + datetime.timedelta(days=FAMILY_DAYS),
    )
    code.used_at, code.family = now, family
    code.save(update_fields=["used_at", "family"])
    old = TokenFamily.objects.filter(session=code.session_id, application=code.application_id).order_by("-id")
    TokenFamily.objects.filter(pk__in=list(old[MOST_OPEN:].values_list("pk", flat=True))).delete()
    return family


def begin_workload_family(workload: Workload, scope: Sequence[str], *, seconds: int) -> TokenFamily:
    """In a transaction: for so long the workload may go on without its issuer's word."""
    return TokenFamily.objects.create(
        tenant_id=workload.tenant_id,
        workload=workload,
        scope=" ".join(sorted(scope)),
        expires_at=timezone.now() + datetime.timedelta(seconds=seconds),
    )


def take_refresh_token(
    text: str, *, application: Application | None = None, workload: Workload | None = None
) -> RefreshToken | None:
    """In a transaction, which must be committed whatever is made of it: a refresh token of this application's or workload's, with its family, which
    is locked. ``None`` for one that does not count; one that was used already ends its family."""
    found = RefreshToken.objects.select_related("family").filter(
        token_hash=hash_secret(text), family__application=application, family__workload=workload
    )
    family_id = found.values_list("family_id", flat=True).first()
    if family_id is None:
        return None
    # The family is locked, and the token read after that: of two who show it at once the second sees that it was used.
    TokenFamily.objects.select_for_update().filter(pk=family_id).first()
    token = found.first()
    if token is None or token.family.revoked_at is not None or token.family.expires_at <= timezone.now():
        return None
    if token.used_at is not None:
        revoke_family(token.family_id, TokenFamily.Because.REFRESH_TOKEN_REUSED)
        return None
    return token


def next_refresh_token(family: TokenFamily, *, after: RefreshToken | None = None) -> str:
    """In a transaction: use the one before, where there is one. Returns the text of the next, of which the hash alone is kept."""
    if after is not None:
        after.used_at = timezone.now()
        after.save(update_fields=["used_at"])
    text = secrets.token_urlsafe(32)
    RefreshToken.objects.create(tenant_id=family.tenant_id, family=family, token_hash=hash_secret(text))
    return text


def revoke_family(family_id: uuid.UUID, because: TokenFamily.Because) -> None:
    """In a transaction: none of its tokens counts from its end on. Safe to repeat."""
    found = TokenFamily.objects.select_for_update(of=("self",)).select_related("application", "workload", "user")
    family = found.filter(pk=family_id, revoked_at=None).first()
    if family is None:
        return
    family.revoked_at, family.revoked_because = timezone.now(), because
    family.save(update_fields=["revoked_at", "revoked_because"])
    target = family.application or family.workload
    assert target is not None  # noqa: S101 - a constraint of the table
    record(
        acting=system("oauth"),
        action="application.revoke_tokens" if family.application else "workload.revoke_tokens",
        target_type="application" if family.application else "workload",
        target_id=target.pk,
        tenant=family.tenant_id,
        detail={"name": target.name, "why": str(because), "family": family.pk.hex}
        | ({"email": family.user.email} if family.user else {}),
    )
    _log.warning("tokens_revoked", family=family.pk.hex, why=str(because))


def sweep_tokens() -> None:
    """Remove what counts no more, and what would be noticed no more when it is shown again. Queries: 2 of ours."""
    before = timezone.now() - datetime.timedelta(days=KEPT_DAYS)
    with every_tenant():
        AuthorizationCode.objects.filter(expires_at__lt=before, family=None).delete()
        TokenFamily.objects.filter(expires_at__lt=before).delete()
