"""The membership and role that follow from what an identity provider says of somebody. Within a transaction, in the tenant's scope."""

from __future__ import annotations

from typing import Any

from django.db import models

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.bounds import MEMBERS, require_room
from ollamamax.identity.models import Membership, RemovedMember
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.queries.member import is_kept_out
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.roles import OWNER
from ollamamax.kernel.principal import Principal
from ollamamax.sso.claims import Decision, decide
from ollamamax.sso.directories import directory_of
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from ollamamax.sso.queries.provider import rules_of
from ollamamax.sso.refusals import SsoRefused, Why


def take_role(by: Principal, provider: IdentityProvider, identity: ExternalIdentity) -> bool:
    """Make the membership what the rules say; whether it is withheld because they give no role.

    Rules count for memberships that single sign-on keeps. One that is kept here keeps its role, and one that somebody suspended stays so.
    """
    tells = directory_of(provider)
    kept = None if tells is None else tells.settle(provider, identity.user, identity.claims, by=by)
    if kept is not None:
        if kept.state != Membership.State.ACTIVE:
            raise SsoRefused(Why.SUSPENDED, "The directory calls the person inactive, or the membership is suspended.")
        return False
    return _decided(by, provider, identity, decide(rules_of(provider), default_of(provider), identity.claims))


def withhold(by: Principal, provider: IdentityProvider, identity: ExternalIdentity) -> None:
    """The provider has this person no more: let them act no longer, until it has them again. The last owner stays one."""
    if Membership.objects.filter(user=identity.user, state=Membership.State.ACTIVE).exists():
        _decided(by, provider, identity, Decision("", None))


def _decided(by: Principal, provider: IdentityProvider, identity: ExternalIdentity, decision: Decision) -> bool:
    """Make the membership what was decided; whether it is withheld."""
    tells = directory_of(provider)
    # Owners too, in one order: of two that would both cease to be the last one, one waits.
    owners = models.Q(role__tenant=None, role__slug=OWNER, state=Membership.State.ACTIVE)
    rows = Membership.objects.filter(owners | models.Q(user=identity.user)).order_by("pk")
    members = {each.user_id: each for each in rows.select_for_update(of=("self",)).select_related("role")}
    member = members.get(identity.user_id)
    if member is None:
        if tells is not None:
            raise SsoRefused(Why.NOT_PROVISIONED, "The provider's directory has not told of this person.")
        if not decision.role:
            raise SsoRefused(Why.NO_ROLE, "No rule gives a role, and the provider has no default one.")
        if is_kept_out(identity.user):
            raise SsoRefused(Why.REMOVED, "Somebody removed this member by hand: invite them to let them come back.")
        RemovedMember.objects.filter(user=identity.user).delete()
        require_room(MEMBERS, Membership.objects.exclude(user=identity.user))
        Membership.objects.create(
            tenant_id=provider.tenant_id,
            user=identity.user,
            role=find_role(decision.role),
            source=Membership.Source(provider.kind),
            external_id=identity.pk.hex,
        )
        _tell(by, provider, identity, "member.add", {"role": decision.role})
        return False
    if member.state == Membership.State.SUSPENDED and not member.withheld:
        raise SsoRefused(Why.SUSPENDED, "The membership is suspended.")
    before = (member.role.slug, member.state, member.withheld)
    kept_here = member.source == Membership.Source.LOCAL
    withheld = not decision.role and not kept_here
    if decision.role and not kept_here:
        member.role = find_role(decision.role)
    member.state = Membership.State.SUSPENDED if withheld else Membership.State.ACTIVE
    member.withheld = withheld
    if before[0] == OWNER and not any(
        each.role.is_owners and each.state == Membership.State.ACTIVE for each in members.values()
    ):
        # A tenant is never without an owner, whatever rules say.
        return False
    if (member.role.slug, member.state, member.withheld) != before:
        member.save(update_fields=["role", "state", "withheld", "changed_at"])
        _tell(by, provider, identity, "member.change", {"role": member.role.slug, "state": member.state})
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


def default_of(provider: IdentityProvider) -> str:
    return provider.default_role.slug if provider.default_role else ""


def decision_of(provider: IdentityProvider, claims: Any) -> Decision:
    """What the provider's rules make of claims."""
    return decide(rules_of(provider), default_of(provider), claims)


def acting_for(provider: IdentityProvider, request_id: str) -> Principal:
    return Principal("system", "sso", provider.tenant_id.hex, provider.name, request=request_id)
