"""Permissions, and the roles that every installation has. Pure: no Django, no database."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

PERMISSIONS = frozenset(
    {
        "inference.use",
        "node.view",
        "node.manage",
        "model.view",
        "model.manage",
        "model.promote",
        "key.view",
        "key.manage",
        "usage.view",
        "prompt.view",
        "request.manage",
        "member.view",
        "member.manage",
        "audit.view",
        "audit.manage",
        "sso.view",
        "sso.manage",
        "tenant.manage",
        "webhook.manage",
        "budget.manage",
        "experiment.manage",
    }
)

OPERATOR_ONLY = frozenset({"tenant.manage"})
"""Counts in the operator's tenant alone: elsewhere nobody has it, whatever a role or a key says."""

ON_OBJECTS: dict[str, frozenset[str]] = {
    "model": frozenset({"model.view", "model.manage", "model.promote", "inference.use"}),
    "node": frozenset({"node.view", "node.manage"}),
    "pool": frozenset({"node.view", "node.manage"}),
}
"""Kinds of objects, and the permissions that can be granted on a single one of them; on a pool, they count on each of its nodes."""

_VIEWER = frozenset({"node.view", "model.view", "key.view", "usage.view", "member.view"})
_MEMBER = _VIEWER | {"inference.use", "key.manage"}

OWNER = "owner"
"""The role whose members alone make, change and remove owners; that is no permission, so that no custom role can hold it."""

SYSTEM_ROLES: dict[str, frozenset[str]] = {
    OWNER: PERMISSIONS,
    # Who runs a tenant reads no prompts by that alone.
    "admin": PERMISSIONS - {"prompt.view"},
    "operator": _MEMBER | {"node.manage", "model.manage", "model.promote", "request.manage"},
    "developer": _MEMBER | {"model.manage"},
    "member": _MEMBER,
    "auditor": _VIEWER | {"audit.view", "sso.view"},
    "billing": frozenset({"usage.view", "member.view", "budget.manage"}),
    "viewer": _VIEWER,
}
"""What the table of roles is seeded with: the same in every tenant, and no tenant changes them."""


def counted(permissions: Iterable[str], *, in_operator: bool) -> frozenset[str]:
    """Those of the permissions that exist and count in a tenant. Every principal is made of these."""
    held = frozenset(permissions) & PERMISSIONS
    return held if in_operator else held - OPERATOR_ONLY


def reference(kind: str, id_: uuid.UUID | str) -> str:
    """How a grant names an object: ``model:<UUID as hex>``."""
    return f"{kind}:{id_.hex if isinstance(id_, uuid.UUID) else uuid.UUID(id_).hex}"
