"""What a principal may do and give, and what a member's role, teams and grants add up to. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS, counted
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import EVERYWHERE


class Rights(NamedTuple):
    """In the whole tenant, and on single objects (`roles.reference`) as pairs of permission and object."""

    permissions: frozenset[str]
    grants: frozenset[tuple[str, str]]


class Granted(NamedTuple):
    """A grant as a query tells it: a permission, the object as `roles.reference` names it, and the team it was given to (slug)."""

    permission: str
    target: str
    team: str


Source = Literal["role", "team_role", "grant", "team_grant", "system"]


class Reason(NamedTuple):
    """Why a permission is had: on everything in the tenant, or on one object (``on``).

    ``role`` is the slug of the role that has it, where one has; ``team`` of the team whose role or grant it is; ``pool`` is the
    pool that it was granted on, where the object is in one. ``system``: a key that the system made, which has no maker.
    """

    permission: str
    on: str | None
    by: Source
    role: str = ""
    team: str = ""
    pool: str = ""


def reasons(held: Mapping[str, Any], *, in_operator: bool, within: Mapping[str, Iterable[str]]) -> list[Reason]:
    """All that gives a member rights: their role, the roles of their teams, and what was granted to them and to those.

    ``held`` is a row's ``held`` (`ollamamax.identity.queries.member.active_members`); ``within`` tells what is in pools: what
    is granted on one counts on each of those. What a member may is what has a reason here, and nothing else.
    """
    found = [
        Reason(each, None, "role", held["role"])
        for each in sorted(counted(held["permissions"], in_operator=in_operator))
    ]
    for team in held["teams"]:
        of_role = sorted(counted(team["permissions"], in_operator=in_operator))
        found += [Reason(each, None, "team_role", team["role"], team["team"]) for each in of_role]
    for text in (*held["granted"], *held["team_granted"]):
        grant = granted(text)
        if grant.permission in ON_OBJECTS.get(grant.target.partition(":")[0], ()):
            by: Source = "team_grant" if grant.team else "grant"
            found.append(Reason(grant.permission, grant.target, by, team=grant.team))
            found += [
                Reason(grant.permission, each, by, team=grant.team, pool=grant.target)
                for each in sorted(within.get(grant.target, ()))
            ]
    return found


def rights_by(found: Iterable[Reason]) -> Rights:
    """What these reasons give: all that is asked of a principal is decided by this."""
    some = list(found)
    return Rights(
        frozenset(each.permission for each in some if each.on is None),
        frozenset((each.permission, each.on) for each in some if each.on is not None),
    )


def lent(found: Iterable[Reason], given: Collection[str]) -> list[Reason]:
    """What remains of the maker's reasons for a key that was given these permissions."""
    return [each for each in found if each.permission in given]


def why(found: Iterable[Reason], permission: str, on: str | None = None) -> list[Reason]:
    """Those for which `Principal.may` says yes; none where it says no. ``on`` as there."""
    return [each for each in found if each.permission == permission and (each.on is None or each.on == on)]


def granted(text: str) -> Granted:
    """Of ``node.view@node:<UUID>``, as queries put a grant into one text, with ``@<slug>`` behind it where a team has it."""
    permission, _, rest = text.partition("@")
    target, _, team = rest.partition("@")
    return Granted(permission, target.replace("-", ""), team)


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


def require_unbounded(acting: Principal) -> None:
    """A key that is bound to addresses, routes or models gets nobody a secret that is not, and what ends soon none that lasts. Raises `Forbidden`."""
    if acting.by_token:
        raise Forbidden("An access token makes and changes no keys.")
    if acting.reach != EVERYWHERE:
        raise Forbidden("A key that is bound to addresses, routes or models makes and changes no keys.")


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
