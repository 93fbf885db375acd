"""Permissions, and the roles that are named sets of them. Pure: no Django, no database."""

from __future__ import annotations

from collections.abc import Iterable

PERMISSIONS = frozenset(
    {
        "inference.use",
        "node.view",
        "node.manage",
        "model.view",
        "model.manage",
        "key.view",
        "key.manage",
        "usage.view",
        "member.view",
        "member.manage",
        "audit.view",
        "tenant.manage",
    }
)

OPERATOR_ONLY = frozenset({"tenant.manage"})
"""Counts in the operator's tenant alone: elsewhere nobody has it, whatever a role or a key says."""

_VIEWER = frozenset({"node.view", "model.view", "key.view", "usage.view", "member.view"})
_MEMBER = _VIEWER | {"inference.use", "key.manage"}

ROLES: dict[str, frozenset[str]] = {
    "owner": PERMISSIONS,
    # An admin lacks one permission, so that the rule "nobody grants more than they have" keeps owners to owners.
    "admin": PERMISSIONS - {"audit.view"},
    "member": _MEMBER,
    "viewer": _VIEWER,
}


def permissions_of(role: str, *, in_operator: bool) -> frozenset[str]:
    """The permissions of a role in a tenant, the operator's or another; a role that is not known has none."""
    return counted(ROLES.get(role, frozenset()), in_operator=in_operator)


def counted(permissions: Iterable[str], *, in_operator: bool) -> frozenset[str]:
    """Those of the permissions that count in a tenant. Every principal is made of these."""
    held = frozenset(permissions)
    return held if in_operator else held - OPERATOR_ONLY
