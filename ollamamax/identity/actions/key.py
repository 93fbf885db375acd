"""Writes of API keys."""

from __future__ import annotations

import contextlib
import datetime
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory
from ollamamax.identity.actions.limits import Given, checked, take_over
from ollamamax.identity.bounds import KEYS, require_room
from ollamamax.identity.key_bounds import require_no_more, require_to_make
from ollamamax.identity.keys import make_key
from ollamamax.identity.models import ApiKey, Priority, ServiceAccount
from ollamamax.identity.queries import key as queries
from ollamamax.identity.queries.member import email_of
from ollamamax.identity.queries.service_account import get_service_account, may_have_keys
from ollamamax.identity.rights import require, require_to_lend, require_unbounded
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import EVERYWHERE, Reach

DEFAULT_PERMISSIONS = frozenset({"inference.use", "model.view"})


def issue_key(
    *,
    acting: Principal,
    name: str,
    permissions: Iterable[str] | None = None,
    expires_at: datetime.datetime | None = None,
    created_by: uuid.UUID | None = None,
    limits: Given | None = None,
    priority: str = Priority.NORMAL,
    strict_fields: bool | None = None,
    service_account: uuid.UUID | None = None,
    reach: Reach = EVERYWHERE,
    has_secret: bool = True,
) -> tuple[ApiKey, str]:
    """Make a key in the tenant of ``acting``; returns it with its text, which is not kept and cannot be had again.

    ``permissions`` default to what inference needs, and never exceed those of ``acting``; later they are
    as far as the maker has them then. ``created_by`` is for the
    system, which makes keys for others; ``service_account`` for who manages that one's keys, and may do all that
    the key may; without ``has_secret`` nobody is to be shown the text, now or by a rotation. A key makes none that is more than itself (`key_bounds`); where no end is given it ends with the one that makes it. High ``priority`` needs the permission to manage members. Raises `InvalidRequest`,
    `Forbidden`, `Conflict` for a name that another key has, and `Unavailable` while Redis takes no writes.
    """
    require(acting, "key.manage")
    require_unbounded(acting)
    if acting.tenant is None:
        raise InvalidRequest("A key belongs to a tenant, and none was named.", param="tenant")
    name = _named(name)
    limits = checked(limits or {})
    _require_priority(acting, priority)
    _require_future(expires_at)
    granted = _lendable(acting, DEFAULT_PERMISSIONS if permissions is None else permissions)
    made = make_key()
    # A key that no gateway can be told of would be shown, and refused for as long as Redis is away.
    directory.require_writable()
    with _names_are_unique(), tenant_scope(acting.tenant), transaction.atomic(durable=True):
        require_room(KEYS, queries.listed(ApiKey.objects.filter(revoked_at=None)))
        by_key = queries.acting_key(acting)
        require_to_make(by_key)
        if expires_at is None and by_key is not None:
            expires_at = by_key.expires_at
        maker = created_by if acting.kind == "system" else queries.person_behind(acting)
        maker_name = email_of(maker)
        if service_account is not None:
            account = _account(acting, service_account)
            maker, maker_name = account.membership.user_id, account.name
        key = ApiKey(
            tenant_id=uuid.UUID(acting.tenant),
            created_by_id=maker,
            created_by_name=maker_name,
            name=name,
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            permissions=granted,
            expires_at=expires_at,
            priority=priority,
            strict_fields=strict_fields,
            has_secret=has_secret,
            **_columns(reach),
            **limits,
        )
        require_no_more(by_key, key)
        key.save(force_insert=True)
        record(
            acting=acting,
            action="key.issue",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={
                "name": key.name,
                "identifier": key.identifier,
                "permissions": granted,
                "expires_at": expires_at,
                "limits": limits,
                "priority": priority,
                "strict_fields": strict_fields,
                "reach": msgspec.to_builtins(reach),
            },
        )
        if service_account is not None:
            queries.require_to_see(acting, key)
        directory.publish_key_on_commit(key)
    return key, made.text


def _account(acting: Principal, account_id: uuid.UUID) -> ServiceAccount:
    """One whose keys ``acting`` manages, of the tenant in scope. Raises `Forbidden` and `NotFound`."""
    account = get_service_account(account_id)
    if not may_have_keys(acting, account):
        raise Forbidden("Keys of a service account are made by who manages members, or is in its team.")
    return account


def change_key(
    *,
    acting: Principal,
    key_id: uuid.UUID,
    name: str | None = None,
    limits: Given | None = None,
    priority: str | None = None,
    strict_fields: bool | Literal["stays"] | None = "stays",
    expires_at: datetime.datetime | Literal["stays"] | None = "stays",
    permissions: Iterable[str] | None = None,
    reach: Reach | None = None,
) -> ApiKey:
    """Change what is given; what is ``None`` stays, and so does a limit that is left out. ``strict_fields`` and ``expires_at`` may become ``None``.

    Who may not manage members changes their own keys only, and gives none a high priority; a key changes none that is more than itself. Raises `NotFound` also for
    keys of others, `InvalidRequest`, and `Conflict` for a key that was revoked, and for a name that another key has.
    """
    require(acting, "key.manage")
    require_unbounded(acting)
    if acting.tenant is None:
        raise NotFound("There is no such key.")
    values: dict[str, Any] = dict(checked(limits or {}))
    if reach is not None:
        values |= _columns(reach)
    if name is not None:
        values["name"] = _named(name)
    with _names_are_unique(), tenant_scope(acting.tenant), transaction.atomic(durable=True):
        key = queries.lock_key(acting, key_id)
        if key.revoked_at is not None:
            raise Conflict("This key was revoked.")
        if priority is not None and priority != key.priority:
            _require_priority(acting, priority)
            values["priority"] = priority
        if strict_fields != "stays":
            values["strict_fields"] = strict_fields
        if expires_at != "stays":
            _require_future(expires_at)
            values["expires_at"] = expires_at
        if permissions is not None:
            values["permissions"] = _lendable(acting, permissions, held=key.permissions)
        changed = take_over(key, values)
        if not changed:
            return key
        require_no_more(queries.acting_key(acting), key)
        key.save(update_fields=list(changed))
        record(
            acting=acting,
            action="key.change",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={"identifier": key.identifier} | changed.detail(),
        )
        directory.publish_key_on_commit(key)
    return key


def revoke_key(*, acting: Principal, key_id: uuid.UUID) -> ApiKey:
    """Make a key useless for ever; for a key that is revoked already, nothing happens.

    Who may not manage members revokes their own keys only. Raises `NotFound` also for keys of others.
    """
    require(acting, "key.manage")
    if acting.tenant is None:
        raise NotFound("There is no such key.")
    with tenant_scope(acting.tenant), transaction.atomic(durable=True):
        key = queries.lock_key(acting, key_id)
        if key.revoked_at is not None:
            return key
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        record(
            acting=acting,
            action="key.revoke",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={"name": key.name, "identifier": key.identifier},
        )
        directory.publish_key_on_commit(key)
    return key


def _columns(reach: Reach) -> dict[str, list[str]]:
    return {
        "reach_addresses": list(reach.addresses),
        "reach_routes": list(reach.routes),
        "reach_models": list(reach.models),
    }


def _require_future(expires_at: datetime.datetime | None) -> None:
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("A key cannot expire in the past.", param="expires_at")


def _lendable(acting: Principal, permissions: Iterable[str], held: Iterable[str] = ()) -> list[str]:
    """In order. What a key has already it may keep, whoever changes the rest. Raises `InvalidRequest` and `Forbidden`."""
    granted = frozenset(permissions)
    if not granted:
        raise InvalidRequest("A key without permissions is of no use.", param="permissions")
    require_to_lend(acting, granted - frozenset(held))
    return sorted(granted)


@contextlib.contextmanager
def _names_are_unique() -> Iterator[None]:
    """Around a transaction. Raises `Conflict` for a name that another key has, which is not revoked."""
    try:
        yield
    except IntegrityError as error:
        if "identity_key_name_unique" in str(error):
            raise Conflict("There is a key of this name already.", param="name") from error
        raise


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("A key's name has 1 to 100 characters.", param="name")
    return name.strip()


def _require_priority(acting: Principal, priority: str) -> None:
    """High is for few, or it is worth nothing: who manages members says for whom."""
    if priority not in Priority.values:
        raise InvalidRequest("A key's priority is high, normal or low.", param="priority")
    if priority == Priority.HIGH:
        require(acting, "member.manage")
