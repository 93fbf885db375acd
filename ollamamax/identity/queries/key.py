"""Reads of API keys."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import models
from django.utils import timezone

from ollamamax.identity.keys import matches, parse_key
from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries.member import active_members, pairs
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


def restrict(acting: Principal, keys: models.QuerySet[ApiKey]) -> models.QuerySet[ApiKey]:
    """Those of ``keys`` that ``acting`` may change: their own, or the whole tenant's with ``member.manage``."""
    if acting.may("member.manage"):
        return keys
    person = person_behind(acting)
    return keys.none() if person is None else keys.filter(created_by=person)


def keys_of_tenant() -> models.QuerySet[ApiKey]:
    """The keys of the tenant in scope, revoked ones too, the newest first."""
    return listed(ApiKey.objects.order_by("-created_at", "-id"))


def listed(keys: models.QuerySet[ApiKey]) -> models.QuerySet[ApiKey]:
    """Without the tokens of pages."""
    return keys.filter(of_session=False)


def get_key(key_id: uuid.UUID) -> ApiKey:
    """A key of the tenant in scope. Raises `NotFound`."""
    found = listed(ApiKey.objects.filter(pk=key_id)).first()
    if found is None:
        raise NotFound("There is no such key.")
    return found


def lock_key(acting: Principal, key_id: uuid.UUID) -> ApiKey:
    """A key that ``acting`` may change, for a transaction that does. Raises `NotFound`."""
    found = restrict(acting, listed(ApiKey.objects.select_for_update(of=("self",)))).filter(pk=key_id).first()
    if found is None:
        raise NotFound("There is no such key.")
    return found


def names_of_keys(keys: Iterable[uuid.UUID | str]) -> dict[uuid.UUID, str]:
    """The names of those keys that the tenant in scope has. One query, or none for no keys."""
    wanted = {key if isinstance(key, uuid.UUID) else uuid.UUID(key) for key in keys}
    return dict(ApiKey.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}


def usable_keys() -> models.QuerySet[ApiKey]:
    """The keys of every tenant that work, with their tenants. Needs the scope `every_tenant`.

    A key works until it is revoked or expires, while its tenant is not suspended, and whoever made it is active and a
    member, whose membership is active. One whose maker was removed works no more. `rights_of_key` says what it may do.
    """
    makers = active_members().filter(tenant=models.OuterRef("tenant"), user=models.OuterRef("created_by"))
    return (
        ApiKey.objects.select_related("tenant")
        .filter(revoked_at=None, tenant__suspended_at=None)
        .annotate(
            maker_permissions=models.Subquery(makers.values("role__permissions")),
            maker_grants=models.Subquery(makers.values("granted")),
        )
        .filter(models.Q(of_session=False) | models.Q(session__isnull=False))
        .filter(models.Q(created_by=None, created_by_name="") | models.Q(maker_permissions__isnull=False))
        .exclude(expires_at__lte=timezone.now())
    )


class KeyRights(NamedTuple):
    """What a key may do now: in its whole tenant, and on single objects (`ollamamax.identity.roles.reference`)."""

    permissions: frozenset[str]
    grants: frozenset[tuple[str, str]]


class KeyText(NamedTuple):
    """One text that a key has now: the parts by which it is known, and until when it works (Unix seconds; ``None`` for ever)."""

    identifier: str
    secret_hash: str
    expires_at: float | None


def texts_of(key: ApiKey) -> list[KeyText]:
    """Those that work now: its own, and the one before for as long as its rotation lets it."""
    end = None if key.expires_at is None else key.expires_at.timestamp()
    found = [KeyText(key.identifier, key.secret_hash, end)]
    if key.previous_until is not None and key.previous_until > timezone.now():
        until = key.previous_until.timestamp()
        found.append(KeyText(key.previous_identifier, key.previous_hash, until if end is None else min(until, end)))
    return found


def with_identifier(identifiers: Iterable[str]) -> models.Q:
    """Keys one of whose texts has one of them."""
    some = list(identifiers)
    return models.Q(identifier__in=some) | models.Q(previous_identifier__in=[each for each in some if each])


def rights_of_key(key: ApiKey) -> KeyRights:
    """Of a row of `usable_keys`: what the key was given, as far as its maker has it now; all of it, where the system made it."""
    given = counted(key.permissions, in_operator=key.tenant.is_operator)
    if key.created_by_id is None:
        return KeyRights(given, frozenset())
    found: Any = key
    permissions = given & frozenset(found.maker_permissions)
    return KeyRights(
        permissions,
        frozenset(grant for grant in pairs(found.maker_grants) if grant[0] in given - permissions),
    )


def keys_made_by(user_id: uuid.UUID) -> models.QuerySet[ApiKey]:
    """All that a person made, in the tenants in scope."""
    return ApiKey.objects.filter(created_by=user_id)


def find_principal(text: str) -> Principal | None:
    """Who calls with this key, by Postgres; ``None`` for every key that is not good. One query."""
    parsed = parse_key(text)
    if parsed is None:
        return None
    identifier, secret = parsed
    with every_tenant():
        key = listed(usable_keys()).filter(with_identifier([identifier])).first()
    if key is None:
        return None
    held = next((each for each in texts_of(key) if each.identifier == identifier), None)
    if held is None or not matches(secret, held.secret_hash):
        return None
    rights = rights_of_key(key)
    return Principal("key", key.id.hex, key.tenant_id.hex, key.name, rights.permissions, grants=rights.grants)


def person_behind(acting: Principal) -> uuid.UUID | None:
    """The user who acts, or who made the key that acts. Queries in the tenant's scope, for a key."""
    if acting.kind == "user":
        return uuid.UUID(acting.id)
    if acting.kind == "key":
        return ApiKey.objects.filter(pk=acting.id).values_list("created_by", flat=True).first()
    return None


def has_key_named(name: str) -> bool:
    """Whether the tenant in scope has a key of this name that is not revoked."""
    return ApiKey.objects.filter(name=name, revoked_at=None).exists()


def free_name(name: str) -> str:
    """The name, or it with the least number behind it that no key of the tenant in scope has that is not revoked. Queries: 1."""
    taken = set(ApiKey.objects.filter(name__startswith=name, revoked_at=None).values_list("name", flat=True))
    return next(
        each for each in itertools.chain([name], (f"{name} {n}" for n in itertools.count(2))) if each not in taken
    )
