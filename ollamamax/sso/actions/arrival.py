"""What follows when an identity provider vouches for somebody: their user, their membership and role, and a session."""

from __future__ import annotations

import time
from typing import Any

from django.db import models, transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.session import begin_session
from ollamamax.identity.actions.user import make_user
from ollamamax.identity.bounds import MEMBERS, require_room
from ollamamax.identity.measuring import log_in_ended
from ollamamax.identity.models import Membership, User
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.roles import OWNER
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import LogIn
from ollamamax.kernel.errors import OllamaMaxError
from ollamamax.kernel.principal import Principal
from ollamamax.sso.claims import Decision, decide, texts_of
from ollamamax.sso.models import ExternalIdentity, ExternalSession, IdentityProvider
from ollamamax.sso.queries.provider import owns_address, rules_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.relying_party import Vouched
from ollamamax.sso.sealed import sealed


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
    try:
        with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
            acting = _acting(provider, request_id)
            identity = _identity(acting, provider, vouched, user)
            withheld = _take_role(acting, provider, identity)
            if not withheld:
                _begin(request, provider, identity, vouched, request_id)
    except OllamaMaxError as error:
        # A bound of the tenant or the installation, which its administrators have to make room under.
        raise SsoRefused(Why.NOT_CREATED, error.message) from error
    if withheld:
        raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
    log_in_ended("oidc", "ok")
    return identity.user


def tell_refusal(
    *, provider: IdentityProvider, refused: SsoRefused, address: str, request_id: str = "", subject: str = ""
) -> None:
    """Into the tenant's audit trail, as long as there are not too many."""
    log_in_ended("oidc", "refused")
    with transaction.atomic(durable=True):
        if attempt.has_room(timezone.now()):
            record(
                acting=_acting(provider, request_id),
                action="session.refuse_sso",
                target_type="identity_provider",
                target_id=provider.pk,
                tenant=provider.tenant_id,
                detail={"why": str(refused.why), "detail": refused.detail[:300], "said": refused.said}
                | {"address": address, "subject": subject[:255], "name": provider.name},
            )


def email_of(provider: IdentityProvider, claims: Any) -> str:
    """The address, in small letters as the domain is compared. Raises `SsoRefused` for none, and for one that the provider does not trust."""
    found = next(iter(texts_of(claims, provider.email_claim)), "").strip()
    if "@" not in found or len(found) > 254:
        raise SsoRefused(Why.NO_EMAIL, f"The claim {provider.email_claim!r} holds no e-mail address.")
    if texts_of(claims, "email_verified") == ["false"]:
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
    made = user is None
    if user is None:
        user = _new_user(provider, vouched)
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
    if not decide(rules_of(provider), _default(provider), vouched.claims).role:
        raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
    return make_user(email)


def _take_role(acting: Principal, provider: IdentityProvider, identity: ExternalIdentity) -> bool:
    """Make the membership what the rules say; whether it is withheld because they give no role.

    Rules count for memberships that single sign-on keeps. One that is kept here keeps its role, and one that somebody suspended stays so.
    """
    decision = decide(rules_of(provider), _default(provider), identity.claims)
    # Owners too, in one order: of two that would both cease to be the last one, one waits.
    owners = models.Q(role__tenant=None, role__slug=OWNER, state=Membership.State.ACTIVE)
    rows = Membership.objects.filter(owners | models.Q(user=identity.user)).order_by("pk")
    members = {each.user_id: each for each in rows.select_for_update(of=("self",)).select_related("role")}
    member = members.get(identity.user_id)
    if member is None:
        if not decision.role:
            raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
        require_room(MEMBERS, Membership.objects.exclude(user=identity.user))
        Membership.objects.create(
            tenant_id=provider.tenant_id,
            user=identity.user,
            role=find_role(decision.role),
            source=Membership.Source.OIDC,
            external_id=identity.pk.hex,
        )
        _tell(acting, provider, identity, "member.add", {"role": decision.role})
        return False
    if member.state == Membership.State.SUSPENDED and not identity.withheld:
        raise SsoRefused(Why.SUSPENDED, "The membership is suspended.")
    before = (member.role.slug, member.state)
    kept_here = member.source == Membership.Source.LOCAL
    withheld = not decision.role and not kept_here
    if decision.role and not kept_here:
        member.role = find_role(decision.role)
    member.state = Membership.State.SUSPENDED if withheld else Membership.State.ACTIVE
    if before[0] == OWNER and not any(
        each.role.is_owners and each.state == Membership.State.ACTIVE for each in members.values()
    ):
        # A tenant is never without an owner, whatever rules say.
        return False
    if identity.withheld != withheld:
        identity.withheld = withheld
        identity.save(update_fields=["withheld"])
    if (member.role.slug, member.state) != before:
        member.save(update_fields=["role", "state", "changed_at"])
        _tell(acting, provider, identity, "member.change", {"role": member.role.slug, "state": member.state})
    return withheld


def _tell(
    acting: Principal, provider: IdentityProvider, identity: ExternalIdentity, action: str, detail: dict[str, Any]
) -> None:
    record(
        acting=acting,
        action=action,
        target_type="user",
        target_id=identity.user_id,
        tenant=provider.tenant_id,
        detail={"email": identity.user.email, "provider": provider.name} | detail,
    )
    directory.publish_keys_on_commit(keys_made_by(identity.user_id).filter(tenant=provider.tenant_id))
    sockets.recheck_on_commit([identity.user_id])


def _begin(
    request: HttpRequest, provider: IdentityProvider, identity: ExternalIdentity, vouched: Vouched, request_id: str
) -> None:
    session = begin_session(
        request=request,
        user=identity.user,
        log_in=LogIn("oidc", provider.pk.hex, time.time()),
        request_id=request_id,
        tenant=provider.tenant_id,
    )
    made = ExternalSession(tenant_id=provider.tenant_id, identity=identity, session=session, sid=vouched.sid)
    made.sealed_token = sealed(vouched.id_token, made.place)
    made.save(force_insert=True)


def _default(provider: IdentityProvider) -> str:
    return provider.default_role.slug if provider.default_role else ""


def decision_of(provider: IdentityProvider, claims: Any) -> Decision:
    """What the provider's rules make of claims."""
    return decide(rules_of(provider), _default(provider), claims)


def _acting(provider: IdentityProvider, request_id: str) -> Principal:
    return Principal("system", "sso", provider.tenant_id.hex, provider.name, request=request_id)
