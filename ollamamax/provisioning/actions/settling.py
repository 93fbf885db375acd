"""What follows for a membership from what a directory says of a person. Within the transaction of the action that was told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.user import make_user
from ollamamax.identity.bounds import MEMBERS, require_room
from ollamamax.identity.models import Membership, RemovedMember, User
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.queries.member import find_user, is_kept_out
from ollamamax.identity.queries.role import find_role
from ollamamax.identity.roles import OWNER
from ollamamax.kernel.errors import Conflict, OllamaMaxError
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.claims import addresses_of, claims_of, name_of
from ollamamax.provisioning.models import DirectoryUser
from ollamamax.provisioning.queries.directory import groups_of, tells_of_groups
from ollamamax.sso.claims import decide
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from ollamamax.sso.queries.provider import is_break_glass, owns_address, rules_of

Waits = DirectoryUser.Waits
_LAST_OWNER = "This is the last owner of the tenant: let somebody else be one first."


def settle(row: DirectoryUser, provider: IdentityProvider, *, by: Principal, proved: User | None = None) -> None:
    """Make the membership what the directory says, and save the row. ``provider`` comes with its rules. ``proved``: who showed by
    logging in to be this person, with an account that they had already.

    Raises `Conflict` when the tenant would lose its last owner.
    """
    role = _role_of(row, provider)
    member = row.membership
    if member is None:
        member = _arrived(row, role, proved, by=by)
    if member is not None and is_break_glass(row.tenant_id, member.user_id):
        row.waits = Waits.BREAK_GLASS
    elif member is not None:
        row.waits = Waits.NOTHING
        _change(row, member, role, by=by)
    row.save()


def remove(row: DirectoryUser, *, by: Principal) -> None:
    """End the membership, and keep of the row nothing but whose account was made for it. Raises `Conflict` for the last owner."""
    member = row.membership
    if member is not None and not is_break_glass(row.tenant_id, member.user_id):
        _require_another_owner(member)
        user = member.user
        row.membership = None
        row.save(update_fields=["membership"])
        role = member.role.slug
        member.delete()
        _tell(row, user, "member.remove", {"role": role}, by=by)


def _role_of(row: DirectoryUser, provider: IdentityProvider) -> str:
    """By the provider's rules, from what the directory says and, besides, what came at the person's last log-in."""
    groups = groups_of(row) if tells_of_groups(provider) else None
    claims: Mapping[str, Any] = {}
    if row.user_id is not None:
        held = ExternalIdentity.objects.filter(provider=provider, user=row.user_id).first()
        claims = {} if held is None else held.claims
    default = provider.default_role.slug if provider.default_role else ""
    return decide(rules_of(provider), default, {**claims, **claims_of(row.resource, groups)}).role


def _arrived(row: DirectoryUser, role: str, proved: User | None, *, by: Principal) -> Membership | None:
    """The membership of somebody who had none by this row: of a member who is there, or of a new one. ``None``, and why in the row, for who must wait."""
    addresses = addresses_of(row.resource)
    owned = next((each for each in addresses if owns_address(row.tenant_id, each)), "")
    row.address = owned
    row.waits = Waits.NOTHING
    if not owned:
        row.waits = Waits.FOREIGN_DOMAIN if addresses else Waits.NO_ADDRESS
        return None
    user = find_user(owned)
    member = None if user is None else _member(user)
    if member is None and not row.active:
        return None
    if member is None and not role:
        row.waits = Waits.NO_ROLE
        return None
    if member is not None and DirectoryUser.objects.filter(membership=member).exists():
        row.waits = Waits.ADDRESS_TAKEN
        return None
    if member is None:
        if user is not None and user != proved and not _is_directorys(row, user):
            row.waits = Waits.ADDRESS_TAKEN
            return None
        if user is not None and is_kept_out(user):
            row.waits = Waits.KEPT_OUT
            return None
        try:
            with transaction.atomic():
                member = _new_member(row, user, role, by=by)
        except OllamaMaxError:
            # A bound of the tenant or the installation. The directory asks again, and its administrators see why on the page.
            row.waits = Waits.NO_ROOM
            return None
    row.membership, row.user = member, member.user
    return member


def _member(user: User) -> Membership | None:
    return Membership.objects.select_for_update(of=("self",)).select_related("role", "user").filter(user=user).first()


def _is_directorys(row: DirectoryUser, user: User) -> bool:
    """Whether the account was made for this tenant's directory: only then its word leads to an account that is there."""
    return user.is_active and DirectoryUser.objects.filter(user=user, made_account=True).exists()


def _new_member(row: DirectoryUser, user: User | None, role: str, *, by: Principal) -> Membership:
    if user is None:
        user = make_user(row.address)
        row.made_account = True
        _tell(row, user, "user.create", {}, by=by)
    RemovedMember.objects.filter(user=user).delete()
    require_room(MEMBERS, Membership.objects.exclude(user=user))
    member = Membership.objects.create(
        tenant_id=row.tenant_id,
        user=user,
        role=find_role(role),
        source=Membership.Source.SCIM,
        external_id=row.pk.hex,
    )
    _tell(row, user, "member.add", {"role": role}, by=by)
    return member


def _change(row: DirectoryUser, member: Membership, role: str, *, by: Principal) -> None:
    """Role and state, as far as they are the directory's to decide."""
    kept_here = member.source == Membership.Source.LOCAL
    withheld = not row.active or not (role or kept_here)
    if row.active and not role and not kept_here:
        row.waits = Waits.NO_ROLE
    named = name_of(row.resource)
    if row.made_account and named and member.user.name != named:
        member.user.name = named
        member.user.save(update_fields=["name"])
    before = (member.role.slug, member.state, member.withheld)
    if role and not kept_here:
        member.role = find_role(role)
    # What somebody here suspended stays so, whatever the directory says.
    if member.state == Membership.State.ACTIVE or member.withheld:
        member.state = Membership.State.SUSPENDED if withheld else Membership.State.ACTIVE
        member.withheld = withheld
    if (member.role.slug, member.state, member.withheld) == before:
        return
    loses = not member.role.is_owners or member.state != Membership.State.ACTIVE
    if before[:2] == (OWNER, Membership.State.ACTIVE) and loses:
        _require_another_owner(member)
    member.save(update_fields=["role", "state", "withheld", "changed_at"])
    _tell(row, member.user, "member.change", {"role": member.role.slug, "state": member.state}, by=by)


def _require_another_owner(member: Membership) -> None:
    """Raises `Conflict`. Owners are locked in one order: of two that would both cease to be the last one, one waits."""
    owners = models.Q(role__tenant=None, role__slug=OWNER, state=Membership.State.ACTIVE)
    held = list(Membership.objects.filter(owners).order_by("pk").select_for_update(of=("self",)))
    if held and all(each.pk == member.pk for each in held):
        raise Conflict(_LAST_OWNER)


def _tell(row: DirectoryUser, user: User, action: str, detail: dict[str, Any], *, by: Principal) -> None:
    record(
        acting=by,
        action=action,
        target_type="user",
        target_id=user.pk,
        tenant=row.tenant_id,
        detail={"email": user.email, "directory": row.pk.hex} | detail,
    )
    directory.publish_keys_on_commit(keys_made_by(user.pk).filter(tenant=row.tenant_id))
    sockets.recheck_on_commit([user.pk])
