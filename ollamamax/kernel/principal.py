"""Who is acting. Passed to every action; never a Django model, so that nodes and the gateway can use it too."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["user", "key", "node", "system"]


class Principal(msgspec.Struct, frozen=True):
    """``id`` is the UUID (hex) of the user, key or node, or a name for the system's own parts.

    ``tenant`` is the UUID (hex) of the tenant it acts in; ``None`` only for the system.
    ``permissions`` are names such as ``node.view``; ``request`` is the request id, for the audit trail.
    """

    kind: Kind
    id: str
    tenant: str | None
    name: str
    permissions: frozenset[str] = frozenset()
    request: str = ""

    def may(self, permission: str) -> bool:
        return self.kind == "system" or permission in self.permissions


def system(part: str, tenant: str | None = None) -> Principal:
    """The system acting by itself; ``part`` names the loop or command, for the audit trail."""
    return Principal(kind="system", id=part, tenant=tenant, name=part)
