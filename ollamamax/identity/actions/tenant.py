"""Writes of tenants: by the operator of the installation, and by a tenant of itself."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.limits import Given, checked, take_over
from ollamamax.identity.bounds import TENANTS, require_room
from ollamamax.identity.models import Tenant
from ollamamax.identity.models.tenant import LEAST_WEIGHT, MOST_PROMPT_DAYS, MOST_WEIGHT
from ollamamax.identity.queries import tenant as queries
from ollamamax.identity.queries.key import texts_of_tenant
from ollamamax.identity.queries.member import members_of_tenant
from ollamamax.identity.rights import require, require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.sealed_to import new_pair

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def create_tenant(*, acting: Principal, slug: str, name: str) -> Tenant:
    """The operator makes tenants. Raises `Forbidden`, `InvalidRequest`, or `Conflict` when the slug is taken."""
    _require_operator(acting)
    if not _SLUG.fullmatch(slug):
        raise InvalidRequest("A slug has 1 to 63 small letters, digits and inner hyphens.", param="slug")
    name = _named(name)
    try:
        with transaction.atomic(durable=True):
            require_room(TENANTS, Tenant.objects.exclude(slug=slug))
            tenant = Tenant.objects.create(slug=slug, name=name)
            # In the system's chain: that a tenant was there is known even if its own chain were removed.
            record(
                acting=acting,
                action="tenant.create",
                target_type="tenant",
                target_id=tenant.id,
                tenant=None,
                detail={"slug": slug, "name": tenant.name},
            )
            directory.publish_tenant_on_commit(tenant)
    except IntegrityError as error:
        raise Conflict(f"There is a tenant with the slug '{slug}' already.") from error
    return tenant


def make_operator(*, acting: Principal, tenant_id: uuid.UUID) -> Tenant:
    """The tenant runs the installation from now on; only the system says so, and only once.

    For the one that does already nothing happens. Raises `Forbidden`, `NotFound`, or `Conflict` when it is another.
    """
    if acting.kind != "system":
        raise Forbidden("The operator is named on the machine that runs this installation.")
    try:
        with transaction.atomic(durable=True):
            tenant = locked_tenant(tenant_id)
            if tenant.is_operator:
                return tenant
            tenant.is_operator = True
            tenant.save(update_fields=["is_operator"])
            record(
                acting=acting,
                action="tenant.make_operator",
                target_type="tenant",
                target_id=tenant.id,
                tenant=None,
                detail={"slug": tenant.slug},
            )
    except IntegrityError as error:
        raise Conflict("Another tenant is the operator of this installation.") from error
    return tenant


def change_own_tenant(
    *,
    acting: Principal,
    name: str | None = None,
    show_route: bool | None = None,
    store_responses: bool | None = None,
    strict_fields: bool | None = None,
    prompt_days: int | None = None,
) -> Tenant:
    """What a tenant may change of itself; what is ``None`` stays. Prompts are kept while ``prompt_days`` are above 0; with 0 their key is destroyed,
    so that none of them is read any more, also where they are kept again before all were deleted.

    Raises `Forbidden` and `InvalidRequest`.
    """
    tenant_id = require_in_tenant(acting, "member.manage")
    if prompt_days is not None and not 0 <= prompt_days <= MOST_PROMPT_DAYS:
        raise InvalidRequest(f"Prompts are kept for 0 to {MOST_PROMPT_DAYS} days.", param="prompt_days")
    values = _given(
        name=name,
        show_route=show_route,
        store_responses=store_responses,
        strict_fields=strict_fields,
        prompt_days=prompt_days,
    )
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        changed = take_over(tenant, values)
        if not changed:
            return tenant
        if not tenant.prompt_days:
            tenant.prompt_key = tenant.sealed_prompt_key = None
        elif tenant.prompt_key is None:
            tenant.prompt_key, private = new_pair()
            tenant.sealed_prompt_key = settings.SECRET_BOX.seal(private, tenant.prompt_place)
        tenant.save(update_fields=[*changed, "prompt_key", "sealed_prompt_key"])
        record(
            acting=acting,
            action="tenant.change",
            target_type="tenant",
            target_id=tenant.id,
            tenant=tenant.id,
            detail=changed.detail(),
        )
        directory.publish_tenant_on_commit(tenant)
    return tenant


def change_tenant(
    *,
    acting: Principal,
    tenant_id: uuid.UUID,
    name: str | None = None,
    show_route: bool | None = None,
    store_responses: bool | None = None,
    strict_fields: bool | None = None,
    weight: float | None = None,
    may_join_nodes: bool | None = None,
    limits: Given | None = None,
) -> Tenant:
    """What the operator changes of any tenant; what is ``None`` stays, and so does a limit that is left out.

    Nodes that a tenant has stay when it may join no more of them.

    Raises `Forbidden`, `NotFound` and `InvalidRequest`.
    """
    _require_operator(acting)
    values = _given(
        name=name, show_route=show_route, store_responses=store_responses, strict_fields=strict_fields, weight=weight
    )
    if may_join_nodes is not None:
        values["may_join_nodes"] = may_join_nodes
    values |= checked(limits or {})
    # Also what compares with nothing, such as NaN, is no weight.
    if weight is not None and not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise InvalidRequest(f"A weight is between {LEAST_WEIGHT} and {MOST_WEIGHT:.0f}.", param="weight")
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        changed = take_over(tenant, values)
        if not changed:
            return tenant
        tenant.save(update_fields=list(changed))
        # In the tenant's own chain: it may know what the operator allows it.
        record(
            acting=acting,
            action="tenant.govern",
            target_type="tenant",
            target_id=tenant.id,
            tenant=tenant.id,
            detail=changed.detail(),
        )
        directory.publish_tenant_on_commit(tenant)
    return tenant


def set_tenant_suspended(*, acting: Principal, tenant_id: uuid.UUID, suspended: bool) -> Tenant:
    """Refuse a tenant's keys and people, and end what runs for them; or let them in again.

    Its data, models and nodes stay, and a node that it shares serves others. By the operator, of any tenant but their own.
    Raises `Forbidden`, `NotFound` and `Conflict`.
    """
    _require_operator(acting)
    with transaction.atomic(durable=True):
        tenant = locked_tenant(tenant_id)
        if tenant.is_operator:
            raise Conflict("The operator's tenant cannot be suspended.")
        if tenant.deletes_at is not None and not suspended:
            raise Conflict("The tenant is to be deleted: take that back first.")
        if (tenant.suspended_at is not None) == suspended:
            return tenant
        tenant.suspended_at = timezone.now() if suspended else None
        tenant.save(update_fields=["suspended_at"])
        record(
            acting=acting,
            action="tenant.suspend" if suspended else "tenant.resume",
            target_type="tenant",
            target_id=tenant.id,
            tenant=None,
            detail={"slug": tenant.slug},
        )
        tell_on_commit(tenant)
    return tenant


def tell_on_commit(tenant: Tenant) -> None:
    """After the commit, every gateway and page asks anew whether the tenant's keys and people may act. Queries: 2."""
    with tenant_scope(tenant):
        directory.publish_keys_on_commit(texts_of_tenant())
        sockets.recheck_on_commit(members_of_tenant())


def _require_operator(acting: Principal) -> None:
    """Raises `Forbidden` unless it is the system, or somebody of the operator's tenant with the permission.

    Who is a principal of another tenant has it never (`roles.counted`); that is asked here again, as much depends on it.
    """
    require(acting, "tenant.manage")
    if acting.kind != "system" and (acting.tenant is None or not queries.is_operator(uuid.UUID(acting.tenant))):
        raise Forbidden("Tenants are managed by the operator of this installation.", permission="tenant.manage")


def locked_tenant(tenant_id: uuid.UUID) -> Tenant:
    tenant = Tenant.objects.select_for_update().filter(pk=tenant_id).first()
    if tenant is None:
        raise NotFound("There is no such tenant.")
    return tenant


def _given(*, name: str | None, **others: Any) -> dict[str, Any]:
    values = {key: value for key, value in others.items() if value is not None}
    return values if name is None else values | {"name": _named(name)}


def _named(name: str) -> str:
    if not name.strip() or len(name) > 200:
        raise InvalidRequest("A tenant's name has 1 to 200 characters.", param="name")
    return name.strip()
