"""Writes of invitations: made and revoked by who manages members, accepted by who has the link."""

from __future__ import annotations

import datetime
import time
import uuid

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.session import begin_session
from ollamamax.identity.actions.user import set_password
from ollamamax.identity.bounds import INVITATIONS, MEMBERS, USERS, require_room
from ollamamax.identity.directory import publish_keys_on_commit
from ollamamax.identity.email import checked_email
from ollamamax.identity.member_rights import require_over_members, require_to_decide
from ollamamax.identity.models import Invitation, Membership, RemovedMember, Tenant, User
from ollamamax.identity.queries import role as roles
from ollamamax.identity.queries.invitation import GONE, find_open, is_open
from ollamamax.identity.queries.key import keys_made_by, person_behind
from ollamamax.identity.queries.member import email_of, find_user, principal_of, tenants_of
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import tenant_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import TENANT, LogIn
from ollamamax.identity.tokens import new_token
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal, system
from ollamamax.mail.actions import is_set_up, queue_mail
from ollamamax.mail.letters import Language

MOST_DAYS = 30
NO_MAIL = "This installation sends no mail (OLLAMAMAX_SMTP_HOST): give the link yourself."


def invite(
    *, acting: Principal, email: str, role: str, days: int = 7, send: bool = False, language: Language = "en"
) -> tuple[Invitation, str]:
    """Somebody may become a member with this role (its slug): the invitation, and the link, which is not kept. ``send`` it by mail too.

    One for the same address before ends. Raises `Forbidden` for a role that may do more than ``acting``, `InvalidRequest`,
    `Conflict` for a member, and `Overloaded` for too many letters.
    """
    tenant = get_tenant(tenant_of(acting))
    require_over_members(acting, tenant)
    email = checked_email(email)
    if send and not is_set_up():
        raise InvalidRequest(NO_MAIL, param="send")
    if send:
        # Each invitation takes the place of the one before it: their number alone would bound no letters.
        attempt.count("invite", tenant.id.hex)
        attempt.count("mail_to", throttle.account_subject(email.lower()))
    token, now = new_token(), timezone.now()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        given = roles.find_role(role)
        require_to_decide(acting, tenant, given)
        if Membership.objects.filter(user__email__iexact=email).exists():
            raise Conflict(f"{email} is a member of this tenant already.")
        unended = Invitation.objects.filter(accepted_at=None, revoked_at=None)
        require_room(INVITATIONS, unended.filter(expires_at__gt=now).exclude(email__iexact=email))
        unended.filter(email__iexact=email).update(revoked_at=now)
        maker = person_behind(acting)
        invitation = Invitation.objects.create(
            tenant=tenant,
            email=email,
            role=given,
            token_hash=token.hash,
            by_mail=send,
            invited_by_id=maker,
            invited_by_name=email_of(maker),
            expires_at=now + datetime.timedelta(days=days),
        )
        # After "#": what follows it stays in the browser, and is in no server's log.
        link = f"{settings.PUBLIC_URL}/invitation#{token.text}"
        if send:
            until = invitation.expires_at.strftime("%Y-%m-%d %H:%M")
            values = {"inviter": acting.name, "tenant": tenant.name, "role": given.name, "until": until}
            queue_mail(to=email, kind="invitation", language=language, values=values, link=link)
        record(
            acting=acting,
            action="invitation.create",
            target_type="invitation",
            target_id=invitation.id,
            tenant=tenant.id,
            detail={"email": email, "role": role, "expires_at": invitation.expires_at, "by_mail": send},
        )
    return invitation, link


def revoke_invitation(*, acting: Principal, invitation_id: uuid.UUID) -> None:
    """Its link works no more; done again it changes nothing. Raises `Forbidden`, `NotFound`, and `Conflict` for one that was accepted."""
    tenant = get_tenant(tenant_of(acting))
    require_over_members(acting, tenant)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = Invitation.objects.select_for_update().filter(pk=invitation_id).first()
        if found is None:
            raise NotFound("There is no such invitation.")
        if found.accepted_at is not None:
            raise Conflict("This invitation was accepted. Remove the member instead.")
        if found.revoked_at is not None:
            return
        found.revoked_at = timezone.now()
        found.save(update_fields=["revoked_at"])
        record(
            acting=acting,
            action="invitation.revoke",
            target_type="invitation",
            target_id=found.id,
            tenant=tenant.id,
            detail={"email": found.email},
        )


def accept_invitation(
    *, request: HttpRequest, user: User | None, token: str, name: str = "", password: str = "", request_id: str = ""
) -> User:
    """Whoever has the link becomes a member: who is logged in under its address, or a new user with this password, who is logged in then.

    Raises `NotFound` for a link that does not work, `Forbidden` for who is logged in under another address, `Conflict` where there is a
    user with the address already, who has to log in first, for a member, and where whoever invited may not any more, and
    `InvalidRequest` for a password that is too weak.
    """
    found = find_open(token)
    if user is None and find_user(found.email) is not None:
        raise Conflict("There is an account with this address: log in, and open the link again.")
    if user is not None and user.email.lower() != found.email.lower():
        raise Forbidden(f"This invitation is for {found.email}, and you are logged in as {user.email}.")
    try:
        with tenant_scope(found.tenant), transaction.atomic(durable=True):
            invitation = Invitation.objects.select_for_update().filter(pk=found.pk).first()
            if invitation is None or not is_open(invitation):
                raise NotFound(GONE)
            _require_inviter(invitation, found.tenant)
            member = user or _new_user(invitation, name, password, request_id)
            require_room(MEMBERS, Membership.objects.all())
            Membership.objects.create(tenant=found.tenant, user=member, role=invitation.role)
            RemovedMember.objects.filter(user=member).delete()
            invitation.accepted_at, invitation.accepted_by = timezone.now(), member
            invitation.save(update_fields=["accepted_at", "accepted_by"])
            record(
                acting=Principal("user", member.id.hex, found.tenant_id.hex, member.email, request=request_id),
                action="invitation.accept",
                target_type="invitation",
                target_id=invitation.id,
                tenant=found.tenant_id,
                detail={"email": member.email, "role": invitation.role.slug, "new": user is None},
            )
            publish_keys_on_commit(keys_made_by(member.id).filter(tenant=found.tenant))
            if user is None:
                how = LogIn("password", "", time.time())
                begin_session(request=request, user=member, log_in=how, request_id=request_id, tenant=found.tenant_id)
            else:
                request.session[TENANT] = found.tenant_id.hex
    except IntegrityError as error:
        raise Conflict("You are a member of this tenant already.") from error
    return member


def _new_user(invitation: Invitation, name: str, password: str, request_id: str) -> User:
    user = User(email=invitation.email, name=name.strip())
    set_password(user, password)
    require_room(USERS, User.objects.all())
    user.save(force_insert=True)
    record(
        acting=system("invitation"),
        action="user.create",
        target_type="user",
        target_id=user.id,
        tenant=None,
        detail={"email": user.email, "invitation": invitation.id.hex},
    )
    return user


def _require_inviter(invitation: Invitation, tenant: Tenant) -> None:
    """Whoever invited must still be allowed to: what was promised ends with the right to promise it. Raises `Conflict`."""
    if invitation.invited_by is None and not invitation.invited_by_name:
        return  # the system did
    inviter = invitation.invited_by
    places = tenants_of(inviter) if inviter is not None and inviter.is_active else []
    place = next((each for each in places if each.id == tenant.id), None)
    try:
        if inviter is None or place is None:
            raise Forbidden("They are no member any more.")
        acting = principal_of(inviter, place)
        require_over_members(acting, tenant)
        require_to_decide(acting, tenant, invitation.role)
    except Forbidden as error:
        raise Conflict("Whoever invited you may not do so any more. Ask for another invitation.") from error
