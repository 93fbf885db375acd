"""Permissions, and the roles that are named sets of them. Pure: no Django, no database."""

from __future__ import annotations

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
    }
)

_VIEWER = frozenset({"node.view", "model.view", "key.view", "usage.view", "member.view"})
_MEMBER = _VIEWER | {"inference.use", "key.manage"}

ROLES: dict[str, frozenset[str]] = {
    "owner": PERMISSIONS,
    # An admin lacks one permission, so that the rule "nobody grants more than they have" keeps owners to owners.
    "admin": PERMISSIONS - {"audit.view"},
    "member": _MEMBER,
    "viewer": _VIEWER,
}


def permissions_of(role: str) -> frozenset[str]:
    """The permissions of a role; a role that is not known has none."""
    return ROLES.get(role, frozenset())
