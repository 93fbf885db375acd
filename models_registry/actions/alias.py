"""Writes of aliases."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec
from django.db import transaction
from django.utils import timezone

from models_registry import publication
from models_registry.fallback import checked
from models_registry.manifest import split_name
from models_registry.models import Alias
from models_registry.queries import alias as queries
from models_registry.queries.model import has_channel, is_shared
from ollamamax.audit.actions import record
from ollamamax.contract.tables import Fallback
from ollamamax.identity.bounds import ALIASES, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def create_alias(*, acting: Principal, name: str, target: str, fallbacks: Sequence[Fallback] = ()) -> Alias:
    """Let requests for ``name`` be served by ``target``, a model of the same tenant or one that all share.

    Raises `Conflict` for a name that is taken, and `InvalidRequest` for one that cannot be, or a target that is no model.
    """
    tenant = require_in_tenant(acting, "model.manage")
    full, of = _full(name, "name"), _full(target, "target")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        if has_channel(full):
            raise Conflict(f"There is a model '{full}' already.", param="name")
        if queries.is_alias(full):
            raise Conflict(f"There is an alias '{full}' already.", param="name")
        _require_model(full, of)
        require_room(ALIASES, Alias.objects.all())
        alias = Alias.objects.create(
            tenant_id=tenant,
            name=full,
            target=of,
            fallbacks=_fallbacks(full, of, fallbacks),
            changed_at=timezone.now(),
        )
        record(
            acting=acting,
            action="alias.create",
            target_type="alias",
            target_id=alias.id,
            tenant=tenant,
            detail={"name": full, "target": of, "fallbacks": alias.fallbacks},
        )
        publication.publish_alias_on_commit(alias)
    return alias


def change_alias(
    *,
    acting: Principal,
    alias_id: uuid.UUID,
    target: str | None = None,
    fallbacks: Sequence[Fallback] | None = None,
) -> Alias:
    """Point it elsewhere, or give it other fallbacks; what is left out stays. Raises `NotFound`, `InvalidRequest`."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        alias = _locked(alias_id)
        before = {"target": alias.target, "fallbacks": alias.fallbacks}
        if target is not None:
            alias.target = _full(target, "target")
            _require_model(alias.name, alias.target)
        if fallbacks is not None:
            alias.fallbacks = _fallbacks(alias.name, alias.target, fallbacks)
        after = {"target": alias.target, "fallbacks": alias.fallbacks}
        if after == before:
            return alias
        alias.changed_at = timezone.now()
        alias.save(update_fields=["target", "fallbacks", "changed_at"])
        record(
            acting=acting,
            action="alias.change",
            target_type="alias",
            target_id=alias.id,
            tenant=tenant,
            detail={"name": alias.name, "before": before, "after": after},
        )
        publication.publish_alias_on_commit(alias)
    return alias


def delete_alias(*, acting: Principal, alias_id: uuid.UUID) -> None:
    """Forget the name; its model stays. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        alias = _locked(alias_id)
        publication.publish_alias_on_commit(alias)
        alias.delete()
        record(
            acting=acting,
            action="alias.delete",
            target_type="alias",
            target_id=alias_id,
            tenant=tenant,
            detail={"name": alias.name, "target": alias.target},
        )


def _full(name: str, param: str) -> str:
    try:
        model, tag = split_name(name)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param=param) from None
    if model.endswith("@sha256"):
        raise InvalidRequest(f"'{name[:300]}' names one version, and stands for nothing else.", param=param)
    return f"{model}:{tag}"


def _require_model(name: str, target: str) -> None:
    if name == target:
        raise InvalidRequest("A name cannot be an alias of itself.", param="target")
    if queries.is_alias(target):
        raise InvalidRequest(f"'{target}' is an alias itself; name the model.", param="target")
    if not has_channel(target) and not is_shared(target):
        raise InvalidRequest(f"There is no model '{target}'.", param="target")


def _fallbacks(name: str, target: str, given: Sequence[Fallback]) -> list[dict[str, object]]:
    found = checked((name, target), given)
    queries.require_known(each.model for each in found)
    made: list[dict[str, object]] = msgspec.to_builtins(found)
    return made


def _locked(alias_id: uuid.UUID) -> Alias:
    alias = Alias.objects.select_for_update().filter(pk=alias_id).first()
    if alias is None:
        raise NotFound("There is no such alias.")
    return alias
