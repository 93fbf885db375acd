"""Reads models with their channels, versions and replicas."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import cast

from django.db.models import QuerySet
from redis.exceptions import RedisError

from models_registry.manifest import split_name
from models_registry.models import Channel, Model, Version
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.identity.queries.role import restrict
from ollamamax.identity.rights import require
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import InvalidRequest, ModelNotFound, NotFound
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)


def channels(acting: Principal) -> QuerySet[Channel]:
    """Every name of the tenant in scope whose model ``acting`` may see, with model, version and replicas. Queries: 2."""
    return restrict(acting, ("model.view", "model.manage"), "model", _channels(), "model")


def _channels() -> QuerySet[Channel]:
    return (
        Channel.objects.select_related("model", "version")
        .prefetch_related("version__replicas__node")
        .order_by("model__name", "name")
    )


def has_channel(full_name: str) -> bool:
    """Whether the tenant in scope has this ``name:tag``."""
    model, channel = split_name(full_name)
    return Channel.objects.filter(model__name=model, name=channel).exists()


def is_shared(full_name: str) -> bool:
    """Whether every tenant is served this ``name:tag``."""
    model, channel = split_name(full_name)
    with every_tenant():
        return Channel.objects.filter(model__name=model, model__shared=True, name=channel).exists()


def find_channel(full_name: str) -> Channel:
    """The name of the tenant in scope, in this case or else in any, with model and version.

    Raises `ModelNotFound`, `InvalidRequest`. Queries: 1, and another for a name that is not there as it is.
    """
    found = _channel(full_name)
    if found is None:
        raise ModelNotFound(f"model '{full_name}' not found", param="model", model=full_name)
    return found


def find_channel_to_manage(acting: Principal, full_name: str) -> Channel:
    """As `find_channel`, of a model that ``acting`` may manage. Raises `Forbidden`, and `ModelNotFound` for one that they may not even see."""
    found = find_channel(full_name)
    on = reference("model", found.model_id)
    if not acting.may("model.manage", on) and not acting.may("model.view", on):
        raise ModelNotFound(f"model '{full_name}' not found", param="model", model=full_name)
    require(acting, "model.manage", on)
    return found


def require_to_name(acting: Principal, model: str) -> None:
    """Whether ``acting`` may let names of this model point somewhere; a model that there is not yet is made by who may manage all.

    Raises `Forbidden`. Queries: 1.
    """
    held = Model.objects.filter(name=model).values_list("pk", flat=True).first()
    require(acting, "model.manage", None if held is None else reference("model", held))


def spelled(full_name: str) -> str:
    """The name as the tenant in scope has it, which may be in another case; itself when it is new. Raises `InvalidRequest`."""
    found = _channel(full_name)
    return f"{found.model.name}:{found.name}" if found is not None else full_name


def _channel(full_name: str) -> Channel | None:
    model, channel = split_name(full_name)
    named = Channel.objects.select_related("model", "version")
    return (
        named.filter(model__name=model, name=channel).first()
        or named.filter(model__name__iexact=model, name__iexact=channel).order_by("model__name", "name").first()
    )


def is_kept_by_engines(full_name: str) -> bool:
    """Whether this is the last name of a model that engines keep by themselves: to delete it is their affair.

    Raises `ModelNotFound`. Queries: 2.
    """
    version = find_channel(full_name).version
    return version.source == Version.Source.EXTERNAL and version.channels.count() == 1


def is_protected(full_name: str) -> bool:
    """Whether there is a channel of this name that is protected; of what is no name there is none. Queries: 1 or 2."""
    return _protected(full_name) is not None


def is_protected_at_engines(full_name: str) -> bool:
    """Whether it is protected and of an engine, which changes the bytes behind a name as soon as it is told to. Queries: 1 or 2."""
    found = _protected(full_name)
    return found is not None and found.version.source == Version.Source.EXTERNAL


def _protected(full_name: str) -> Channel | None:
    try:
        found = _channel(full_name)
    except InvalidRequest:
        return None
    return found if found is not None and found.protected else None


def get_channel(acting: Principal, channel_id: uuid.UUID) -> Channel:
    """Raises `NotFound`, for a name of another tenant, or of a model that ``acting`` may not see, too. Queries: 3."""
    found = channels(acting).filter(pk=channel_id).first()
    if found is None:
        raise NotFound("There is no such model.")
    return found


def reloads_avoided(found: Sequence[Channel]) -> dict[str, int]:
    """By full name, what the gateways counted; nothing when Redis is away. One round trip to Redis."""
    names = {f"{each.model.name}:{each.name}": each.tenant_id.hex for each in found}
    if not names:
        return {}
    fields = [keys.named(tenant, name) for name, tenant in names.items()]
    try:
        counted = cast("list[bytes | None]", regions.own().client.hmget(keys.RELOADS_AVOIDED, fields))
    except RedisError as error:
        _log.warning("reloads_avoided_unreadable", error=str(error))
        return {}
    return {name: int(count or 0) for name, count in zip(names, counted, strict=True)}
