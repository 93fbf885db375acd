"""What follows when an identity provider vouches for somebody: their user, their membership and role, and a session."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.pending_factor import wait_for_factor
from ollamamax.identity.actions.session import begin_session
from ollamamax.identity.actions.user import make_user
from ollamamax.identity.email import checked_email
from ollamamax.identity.measuring import log_in_ended
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.queries.second_factor import has_factor
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import BY_PASSWORD, LogIn, Method
from ollamamax.kernel.errors import Conflict, InvalidRequest, OllamaMaxError
from ollamamax.kernel.principal import Principal
from ollamamax.sso.actions.role import acting_for, default_of, take_role
from ollamamax.sso.claims import decide, texts_of
from ollamamax.sso.directories import directory_of
from ollamamax.sso.models import ExternalIdentity, ExternalSession, IdentityProvider
from ollamamax.sso.queries.provider import owns_address, rules_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.sealed import sealed
from ollamamax.sso.vouched import Vouched


def log_in_through(
    *,
    request: HttpRequest,
    provider: IdentityProvider,
    vouched: Vouched,
    request_id: str = "",
    user: User | None = None,
) -> User:
    """Log in whoever the provider vouches for, in its tenant, with the role that its rules give them.

    Who they are is known by provider and subject alone. ``user``: who proved to be this one in the same session, and from now on is
    known by this identity too. A new person gets an account, where the provider makes any, under an address of a domain that is the tenant's.
    Raises `SsoRefused`, after what had to be written.
    """
    begun = Arrival(request, provider, vouched, request_id, user)
    try:
        try:
            identity, withheld = _arrive(begun)
        except (IntegrityError, Conflict):
            # The same person in two browsers at once: what the other one made is there now.
            identity, withheld = _arrive(begun)
    except IntegrityError as error:
        raise SsoRefused(Why.NOT_CREATED, "The account was changed by somebody else at the same time.") from error
    except OllamaMaxError as error:
        # A bound of the tenant or the installation, which its administrators have to make room under.
        raise SsoRefused(Why.NOT_CREATED, error.message) from error
    if withheld:
        raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
    log_in_ended(provider.kind, "ok")
    return identity.user


@dataclass(frozen=True)
class Arrival:
    """Somebody who came back from a provider; ``user`` is who proved to be this one in the same session."""

    request: HttpRequest
    provider: IdentityProvider
    vouched: Vouched
    request_id: str
    user: User | None


def _arrive(begun: Arrival) -> tuple[ExternalIdentity, bool]:
    """In one transaction: the identity, and whether its membership is withheld, so that no session began."""
    provider = begun.provider
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        acting = acting_for(provider, begun.request_id)
        identity = _identity(acting, provider, begun.vouched, begun.user)
        withheld = take_role(acting, provider, identity)
        if not withheld:
            _begin(begun.request, provider, identity, begun.vouched, begun.request_id)
    return identity, withheld


def tell_refusal(
    *, provider: IdentityProvider, refused: SsoRefused, address: str, request_id: str = "", subject: str = ""
) -> None:
    """Into the tenant's audit trail, as long as there are not too many."""
    log_in_ended(provider.kind, "refused")
    with transaction.atomic(durable=True):
        if attempt.has_room(timezone.now()):
            record(
                acting=acting_for(provider, request_id),
                action="session.refuse_sso",
                target_type="identity_provider",
                target_id=provider.pk,
                tenant=provider.tenant_id,
                detail={"why": str(refused.why), "detail": refused.detail[:300], "said": refused.said}
                | {"address": address, "subject": subject[:255], "name": provider.name},
            )


def email_of(provider: IdentityProvider, claims: Any) -> str:
    """The address, in small letters as the domain is compared. Raises `SsoRefused` for none, and for one that the provider does not trust."""
    try:
        found = checked_email(next(iter(texts_of(claims, provider.email_claim)), ""))
    except InvalidRequest as error:
        raise SsoRefused(Why.NO_EMAIL, f"The claim {provider.email_claim!r} holds no e-mail address.") from error
    if "email_verified" in claims and texts_of(claims, "email_verified") not in (["true"], ["True"]):
        raise SsoRefused(Why.EMAIL_NOT_VERIFIED, "The provider says that the address is not verified.")
    return found


def _identity(acting: Principal, provider: IdentityProvider, vouched: Vouched, user: User | None) -> ExternalIdentity:
    """The identity with its user, both made where they are not there."""
    identity = (
        ExternalIdentity.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(provider=provider, subject=vouched.subject)
        .first()
    )
    if identity is None:
        identity = _new_identity(acting, provider, vouched, user)
    elif user is not None and identity.user_id != user.pk:
        raise SsoRefused(Why.LINKED_ELSEWHERE, "This identity belongs to another user.")
    else:
        identity.claims, identity.seen_at = dict(vouched.claims), timezone.now()
        identity.save(update_fields=["claims", "seen_at"])
    if not identity.user.is_active:
        raise SsoRefused(Why.DEACTIVATED, "The user is deactivated.")
    return identity


def _new_identity(
    acting: Principal, provider: IdentityProvider, vouched: Vouched, user: User | None
) -> ExternalIdentity:
    made = False
    if user is None:
        user = _provisioned(provider, vouched)
    if user is None:
        user, made = _new_user(provider, vouched), True
    elif ExternalIdentity.objects.filter(provider=provider, user=user).exists():
        raise SsoRefused(Why.LINKED_ELSEWHERE, "This user has another identity at the provider.")
    identity = ExternalIdentity.objects.create(
        tenant_id=provider.tenant_id,
        provider=provider,
        user=user,
        subject=vouched.subject,
        claims=dict(vouched.claims),
        seen_at=timezone.now(),
    )
    record(
        acting=acting,
        action="user.create" if made else "user.link_identity",
        target_type="user",
        target_id=user.pk,
        tenant=provider.tenant_id,
        detail={"email": user.email, "provider": provider.name, "subject": vouched.subject},
    )
    return identity


def _provisioned(provider: IdentityProvider, vouched: Vouched) -> User | None:
    """The account that the provider's directory had made for this person: the one account that an address leads to.

    Raises `SsoRefused` for whom the directory does not know, nor has anybody linked an identity for.
    """
    tells = directory_of(provider)
    if tells is None:
        return None
    email = email_of(provider, vouched.claims)
    found = tells.account(provider, email) if owns_address(provider.tenant_id, email) else None
    if found is not None and ExternalIdentity.objects.filter(provider=provider, user=found).exists():
        raise SsoRefused(Why.LINKED_ELSEWHERE, "This user has another identity at the provider.")
    if found is None and find_user(email) is None:
        raise SsoRefused(Why.NOT_PROVISIONED, f"The provider's directory has not told of {email!r}.")
    return found


def _new_user(provider: IdentityProvider, vouched: Vouched) -> User:
    """Never one that is there: who has an address now is not who had it when the account was made."""
    if not provider.creates_users:
        raise SsoRefused(Why.NOT_CREATED, "The provider makes no accounts.")
    email = email_of(provider, vouched.claims)
    if not owns_address(provider.tenant_id, email):
        raise SsoRefused(Why.FOREIGN_DOMAIN, f"The domain of {email!r} is not verified to be the tenant's.")
    if find_user(email) is not None:
        raise SsoRefused(
            Why.EMAIL_TAKEN, f"There is a user with the address {email!r}, who has not linked this identity."
        )
    if not decide(rules_of(provider), default_of(provider), vouched.claims).role:
        raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
    return make_user(email)


def _begin(
    request: HttpRequest, provider: IdentityProvider, identity: ExternalIdentity, vouched: Vouched, request_id: str
) -> None:
    log_in = LogIn(cast("Method", provider.kind), provider.pk.hex, time.time())
    if log_in.method in BY_PASSWORD and has_factor(identity.user_id):
        # A directory saw a password and nothing else.
        wait_for_factor(request, identity.user, log_in, provider.tenant_id)
        return
    session = begin_session(
        request=request,
        user=identity.user,
        log_in=log_in,
        request_id=request_id,
        tenant=provider.tenant_id,
    )
    made = ExternalSession(tenant_id=provider.tenant_id, identity=identity, session=session, sid=vouched.sid)
    made.sealed_token = sealed(vouched.hint, made.place)
    made.save(force_insert=True)
