"""Who is acting. Passed to every action; never a Django model, so that nodes and the gateway can use it too."""

from __future__ import annotations

from typing import Literal

import msgspec

from ollamamax.kernel.reach import EVERYWHERE, Reach

Kind = Literal["user", "key", "node", "system"]


class Principal(msgspec.Struct, frozen=True):
    """``id`` is the UUID (hex) of the user, key or node, or a name for the system's own parts.

    ``tenant`` is the UUID (hex) of the tenant it acts in; ``None`` only for the system.
    ``permissions`` are names such as ``node.view``, which it has on everything in the tenant; ``grants`` are pairs of a
    permission and the one object it has it on, such as ``model:<UUID as hex>``. ``is_owner``: a user with the role of an
    owner. ``request`` is the request id, and ``address`` the network address that it came from, both for the audit trail.
    ``reach`` bounds where and for what a key may be used. ``by_token``: a key that was not shown itself, but an access token of it.
    """

    kind: Kind
    id: str
    tenant: str | None
    name: str
    permissions: frozenset[str] = frozenset()
    request: str = ""
    grants: frozenset[tuple[str, str]] = frozenset()
    is_owner: bool = False
    reach: Reach = EVERYWHERE
    by_token: bool = False
    address: str = ""

    def may(self, permission: str, on: str | None = None) -> bool:
        """Whether it has the permission, in the whole tenant or at least ``on`` this object."""
        return (
            self.kind == "system"
            or permission in self.permissions
            or (on is not None and (permission, on) in self.grants)
        )

    def may_somewhere(self, permission: str) -> bool:
        """Whether it has the permission in the whole tenant, or on some object of it."""
        return self.may(permission) or any(granted == permission for granted, _ in self.grants)


def system(part: str, tenant: str | None = None) -> Principal:
    """The system acting by itself; ``part`` names the loop or command, for the audit trail."""
    return Principal(kind="system", id=part, tenant=tenant, name=part)
