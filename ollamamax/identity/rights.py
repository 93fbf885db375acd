"""What a principal may do and give, and what a member's role, teams and grants add up to. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS, counted
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal


class Rights(NamedTuple):
    """In the whole tenant, and on single objects (`roles.reference`) as pairs of permission and object."""

    permissions: frozenset[str]
    grants: frozenset[tuple[str, str]]


def added_up(held: Mapping[str, Any], *, in_operator: bool, within: Mapping[str, Iterable[str]]) -> Rights:
    """What a member may: by role, by the roles of their teams, and by what was granted to them and to those.

    ``held`` is a row's ``held`` (`ollamamax.identity.queries.member.active_members`); ``within`` tells what is in pools: what
    is granted on one counts on each of those.
    """
    permissions = counted([*held["role"], *(name for role in held["teams"] for name in role)], in_operator=in_operator)
    grants = set()
    for text in (*held["granted"], *held["team_granted"]):
        permission, target = granted(text)
        if permission in ON_OBJECTS.get(target.partition(":")[0], ()):
            grants.add((permission, target))
            grants.update((permission, each) for each in within.get(target, ()))
    return Rights(permissions, frozenset(grants))


def granted(text: str) -> tuple[str, str]:
    """``node.view@node:<UUID>``, as queries put a grant into one text, as a pair of permission and `roles.reference`."""
    permission, _, target = text.partition("@")
    return permission, target.replace("-", "")


def require(acting: Principal, permission: str, on: str | None = None) -> None:
    """Raises `Forbidden` unless ``acting`` has the permission, on this object (`roles.reference`) where one is named."""
    if not acting.may(permission, on):
        raise Forbidden(f"This needs the permission '{permission}'.", permission=permission)


def require_to_grant(acting: Principal, permissions: Iterable[str], on: str | None = None) -> None:
    """Nobody gives more than they have. Raises `InvalidRequest` for what is no permission, else `Forbidden`."""
    wanted = _known(permissions)
    lacking = sorted(name for name in wanted if not acting.may(name, on))
    if lacking:
        raise Forbidden(f"You cannot grant '{lacking[0]}', which you do not have.", permission=lacking[0])


def require_to_lend(acting: Principal, permissions: Iterable[str]) -> None:
    """To a key, which never may more than its maker may: what its maker has on some object only, it has on that one only.

    Raises as `require_to_grant` does.
    """
    lacking = sorted(name for name in _known(permissions) if not acting.may_somewhere(name))
    if lacking:
        raise Forbidden(f"You cannot grant '{lacking[0]}', which you do not have.", permission=lacking[0])


def require_to_hold(acting: Principal, rights: Rights) -> None:
    """Who decides about another, or is shown a secret of theirs, may do all that they may. Raises `Forbidden`."""
    require_to_grant(acting, rights.permissions)
    for permission, on in sorted(rights.grants):
        require_to_grant(acting, [permission], on)


def require_over_owners(acting: Principal) -> None:
    """Only owners, and the system, make, change and remove owners. Raises `Forbidden`."""
    if acting.kind != "system" and not acting.is_owner:
        raise Forbidden("Only an owner of this tenant decides who its owners are.")


def require_in_tenant(acting: Principal, permission: str, on: str | None = None) -> uuid.UUID:
    """The tenant of ``acting``, for an action that needs one and this permission. Raises `Forbidden`, `InvalidRequest`."""
    require(acting, permission, on)
    return tenant_of(acting)


def require_somewhere(acting: Principal, permission: str) -> uuid.UUID:
    """As `require_in_tenant`, for an action that does not know its object yet, and asks again once it does."""
    if not acting.may_somewhere(permission):
        raise Forbidden(f"This needs the permission '{permission}'.", permission=permission)
    return tenant_of(acting)


def tenant_of(acting: Principal) -> uuid.UUID:
    """Raises `InvalidRequest` for who acts in none."""
    if acting.tenant is None:
        raise InvalidRequest("This belongs to a tenant, and none was named.", param="tenant")
    return uuid.UUID(acting.tenant)


def granted_on(acting: Principal, permission: str, kind: str) -> list[uuid.UUID]:
    """The objects of a kind on which ``acting`` was granted the permission, besides what they may in the whole tenant."""
    prefix = f"{kind}:"
    return sorted(
        uuid.UUID(on.removeprefix(prefix)) for name, on in acting.grants if name == permission and on.startswith(prefix)
    )


def _known(permissions: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(permissions)
    unknown = sorted(wanted - PERMISSIONS)
    if unknown:
        raise InvalidRequest(f"There is no permission {unknown[0]!r}.", param="permissions")
    return wanted
