"""Reads of API keys."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db import models
from django.utils import timezone

from ollamamax.identity.access_tokens import is_access_token, read_access_token
from ollamamax.identity.keys import matches, parse_key
from ollamamax.identity.models import ApiKey, Membership, ServiceAccount, Team, TeamMember
from ollamamax.identity.queries.member import active_members, what_is_within
from ollamamax.identity.queries.signing_key import public_key_of
from ollamamax.identity.queries.team import teams_of_user
from ollamamax.identity.rights import Reason, Rights, lent, reasons, require_to_hold, rights_by
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import Reach


def restrict(acting: Principal, keys: models.QuerySet[ApiKey]) -> models.QuerySet[ApiKey]:
    """Those of ``keys`` that ``acting`` may change: their own, those of programs of their teams, or the whole tenant's with ``member.manage``."""
    if acting.may("member.manage"):
        return keys
    person = person_behind(acting)
    if person is None:
        return keys.none()
    programs = ServiceAccount.objects.filter(team__in=teams_of_user(person)).values("membership__user")
    return keys.filter(models.Q(created_by=person) | models.Q(created_by__in=programs))


def require_to_see(acting: Principal, key: ApiKey) -> None:
    """Whether ``acting`` may be shown the text of a key: their own, or one that may nothing that they may not. Raises `Forbidden`."""
    if acting.kind == "system" or (key.created_by_id is not None and key.created_by_id == person_behind(acting)):
        return
    row = usable_keys().filter(pk=key.pk).first()
    if row is not None:
        require_to_hold(acting, rights_of_key(row, within_keys([row])))


def keys_of_tenant() -> models.QuerySet[ApiKey]:
    """The keys of the tenant in scope, revoked ones too, the newest first."""
    return listed(ApiKey.objects.order_by("-created_at", "-id"))


def texts_of_tenant() -> models.QuerySet[ApiKey]:
    """All that opens something in the tenant in scope: its keys, and the tokens of pages too."""
    return ApiKey.objects.all()


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
        .annotate(maker_held=models.Subquery(makers.values("held")))
        .filter(models.Q(of_session=False) | models.Q(session__isnull=False))
        .filter(models.Q(created_by=None, created_by_name="") | models.Q(maker_held__isnull=False))
        .exclude(expires_at__lte=timezone.now())
    )


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


def within_keys(keys: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Of rows of `usable_keys`, what is in the pools on which their makers were granted something, for `rights_of_key`."""
    return what_is_within(key.maker_held for key in keys)


def reasons_of_key(key: ApiKey, within: Mapping[str, Iterable[str]]) -> list[Reason]:
    """Of a row of `usable_keys`, why it may what it may: its maker's reasons, as far as they were given to it."""
    given = counted(key.permissions, in_operator=key.tenant.is_operator)
    if key.created_by_id is None:
        return [Reason(each, None, "system") for each in sorted(given)]
    found: Any = key
    return lent(reasons(found.maker_held, in_operator=key.tenant.is_operator, within=within), given)


def teams_of_key(key: ApiKey) -> list[str]:
    """Of a row of `usable_keys`: the ids (hex) of the teams that its maker is in."""
    held: Any = getattr(key, "maker_held", None)
    return sorted(uuid.UUID(each).hex for each in held["in_teams"]) if held is not None else []


def rights_of_key(key: ApiKey, within: Mapping[str, Iterable[str]]) -> Rights:
    """Of a row of `usable_keys`: what the key was given, as far as its maker has it now; all of it, where the system made it."""
    permissions, grants = rights_by(reasons_of_key(key, within))
    return Rights(permissions, frozenset(grant for grant in grants if grant[0] not in permissions))


def keys_made_by(user_id: uuid.UUID) -> models.QuerySet[ApiKey]:
    """All that a person made, in the tenants in scope."""
    return ApiKey.objects.filter(created_by=user_id)


def ids_of_keys(whose: str, subject: uuid.UUID) -> list[uuid.UUID]:
    """The keys of a ``team``, of a ``user``, or the ``key`` itself. Queries: 1, or none."""
    if whose == "key":
        return [subject]
    makers: Any = TeamMember.objects.filter(group__team=subject).values("user") if whose == "team" else [subject]
    return list(ApiKey.objects.filter(created_by__in=makers).values_list("pk", flat=True))


def makers_of_keys(keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID | None]:
    """By key the user who made it; ``None`` for one that no user made. Queries: 1."""
    return dict(ApiKey.objects.filter(pk__in=set(keys)).values_list("pk", "created_by"))


def require_subject(whose: str, subject: uuid.UUID) -> None:
    """Raises `NotFound` unless the tenant in scope has this team, user or key."""
    rows: dict[str, models.QuerySet[Any]] = {
        "team": Team.objects.filter(pk=subject),
        "user": Membership.objects.filter(user=subject),
        "key": listed(ApiKey.objects.filter(pk=subject)),
    }
    if not rows[whose].exists():
        raise NotFound(f"There is no such {whose}.")


class UsableKey(NamedTuple):
    """One that works now, by one of its texts: what it may do somewhere, and where."""

    id: uuid.UUID
    text: KeyText
    permissions: frozenset[str]
    reach: Reach


def usable_key_of(text: str) -> UsableKey | None:
    """By its text; ``None`` for every key that is not good. Queries: 1, and more for grants on pools."""
    parsed = parse_key(text)
    if parsed is None:
        return None
    found = _found(with_identifier([parsed[0]]))
    held = None if found is None else _held(found[0], parsed[0])
    if found is None or held is None or not matches(parsed[1], held.secret_hash):
        return None
    return _usable(*found, held)


def usable_key_by_id(key_id: uuid.UUID) -> UsableKey | None:
    """By its newest text, which nobody showed. Queries as `usable_key_of`."""
    found = _found(models.Q(pk=key_id))
    return None if found is None else _usable(*found, texts_of(found[0])[0])


def _usable(key: ApiKey, rights: Rights, held: KeyText) -> UsableKey:
    return UsableKey(key.pk, held, rights.permissions | {name for name, _ in rights.grants}, key.reach)


def find_principal(text: str) -> Principal | None:
    """Who calls with this key, or with an access token of one, by Postgres; ``None`` for everything that is not good.

    Queries: 1, one more for a token, and more for grants on pools.
    """
    said = read_access_token(text, public_key_of) if is_access_token(text) else None
    parsed = parse_key(text)
    identifier = said.identifier if said is not None else parsed[0] if parsed is not None else ""
    found = _found(with_identifier([identifier])) if identifier else None
    held = None if found is None else _held(found[0], identifier)
    if found is None or held is None:
        return None
    key, rights = found
    if said is not None:
        if not said.is_of(held.secret_hash):
            return None
        if said.scope is not None:
            grants = frozenset(grant for grant in rights.grants if grant[0] in said.scope)
            rights = Rights(rights.permissions & said.scope, grants)
    elif parsed is None or not matches(parsed[1], held.secret_hash):
        return None
    return Principal(
        "key",
        key.id.hex,
        key.tenant_id.hex,
        key.name,
        rights.permissions,
        grants=rights.grants,
        reach=key.reach,
        by_token=said is not None,
    )


def _found(which: models.Q) -> tuple[ApiKey, Rights] | None:
    with every_tenant():
        key = listed(usable_keys()).filter(which).first()
        within = {} if key is None else within_keys([key])
    return None if key is None else (key, rights_of_key(key, within))


def _held(key: ApiKey, identifier: str) -> KeyText | None:
    return next((each for each in texts_of(key) if each.identifier == identifier), None)


def acting_key(acting: Principal) -> ApiKey | None:
    """The key that acts, of the tenant in scope; ``None`` where somebody else does. Queries: 1 for a key."""
    return ApiKey.objects.filter(pk=uuid.UUID(acting.id)).first() if acting.kind == "key" else None


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
