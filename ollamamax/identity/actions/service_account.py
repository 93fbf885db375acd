"""Writes of service accounts: programs as members, with a role, grants and keys of their own."""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import SERVICE_ACCOUNTS, require_room
from ollamamax.identity.models import ApiKey, Membership, Role, ServiceAccount, User
from ollamamax.identity.queries import role as roles
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.queries.member import held_by
from ollamamax.identity.queries.service_account import get_service_account
from ollamamax.identity.queries.team import find_team
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.identity.rights import require_in_tenant, require_to_grant, require_to_hold
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import current_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
STATES = (Membership.State.ACTIVE, Membership.State.SUSPENDED)
_NOWHERE = "service.invalid"
"""No mail goes there (RFC 2606)."""


def create_service_account(
    *, acting: Principal, name: str, role: str, description: str = "", team: str | None = None
) -> ServiceAccount:
    """``role`` and ``team`` are slugs; the role never one that may do more than ``acting`` may, nor that of the owners.

    Raises `Forbidden`, `InvalidRequest`, and `Conflict` for a name that is taken.
    """
    tenant = require_in_tenant(acting, "member.manage")
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            "A service account's name has 1 to 63 small letters, digits and inner hyphens.", param="name"
        )
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(SERVICE_ACCOUNTS, ServiceAccount.objects.exclude(name=name))
            given = _given(acting, role)
            owner = None if team is None else find_team(team)
            id_ = ServiceAccount._meta.get_field("id").get_default()
            user = User(email=f"{name}@{id_.hex}.{_NOWHERE}", is_program=True)
            user.set_unusable_password()
            user.save(force_insert=True)
            membership = Membership.objects.create(tenant_id=tenant, user=user, role=given)
            account = ServiceAccount.objects.create(
                id=id_,
                tenant_id=tenant,
                name=name,
                description=_described(description),
                team=owner,
                membership=membership,
                created_by_name=acting.name[:254],
            )
            record(
                acting=acting, action="service_account.create", tenant=tenant, **_told(account, role=role, team=team)
            )
    except IntegrityError as error:
        raise Conflict("There is a service account of this name already.", param="name") from error
    return account


def change_service_account(
    *,
    acting: Principal,
    account_id: uuid.UUID,
    description: str | None = None,
    role: str | None = None,
    team: str | Literal["stays"] | None = "stays",
    state: str | None = None,
) -> ServiceAccount:
    """What is left out stays. Suspended, its keys are refused, until it is active again.

    ``acting`` must have what the account may before and after. Raises `Forbidden`, `InvalidRequest`, `NotFound`.
    """
    tenant = require_in_tenant(acting, "member.manage")
    if state is not None and state not in STATES:
        raise InvalidRequest("A service account is made active or suspended.", param="state")
    values: dict[str, Any] = {} if description is None else {"description": _described(description)}
    with tenant_scope(tenant), transaction.atomic(durable=True):
        account = _locked(acting, account_id)
        if team != "stays":
            values["team"] = None if team is None else find_team(team)
        changed = take_over(account, values)
        member = account.membership
        of_member = {} if role is None or role == member.role.slug else {"role": _given(acting, role)}
        of_member |= take_over(member, {} if state is None else {"state": state})
        take_over(member, of_member)
        if not changed and not of_member:
            return account
        account.save(update_fields=[*changed, "changed_at"])
        member.save(update_fields=[*of_member, "changed_at"])
        told = {name: getattr(value, "slug", value) for name, value in {**changed, **of_member}.items()}
        record(acting=acting, action="service_account.change", tenant=tenant, **_told(account, **told))
        _tell(member.user_id)
    return account


def delete_service_account(*, acting: Principal, account_id: uuid.UUID) -> None:
    """Its keys are revoked for ever, and what runs with them ends. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        account = _locked(acting, account_id)
        user = account.membership.user
        record(acting=acting, action="service_account.delete", tenant=tenant, **_told(account))
        keys = ApiKey.objects.filter(created_by=user)
        directory.publish_keys_on_commit(keys)
        keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        sockets.recheck_on_commit([user.pk])
        account.delete()
        user.delete()


def _locked(acting: Principal, account_id: uuid.UUID) -> ServiceAccount:
    """One that ``acting`` may decide about, who may do all that it may."""
    if not ServiceAccount.objects.select_for_update().filter(pk=account_id).exists():
        raise NotFound("There is no such service account.")
    account = get_service_account(account_id)
    require_to_hold(acting, held_by(account.membership))
    return account


def _given(acting: Principal, slug: str) -> Role:
    role = roles.find_role(slug)
    if role.is_owners:
        raise InvalidRequest("Owners are people: a program is no owner.", param="role")
    require_to_grant(acting, counted(role.permissions, in_operator=is_operator(current_tenant())))
    return role


def _described(text: str) -> str:
    if len(text) > 300:
        raise InvalidRequest("A description has up to 300 characters.", param="description")
    return text.strip()


def _told(account: ServiceAccount, **detail: Any) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {"target_type": "service_account", "target_id": account.id, "detail": {"name": account.name} | detail}


def _tell(user: uuid.UUID) -> None:
    directory.publish_keys_on_commit(keys_made_by(user))
    sockets.recheck_on_commit([user])
