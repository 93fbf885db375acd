"""What a principal may do and give. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from ollamamax.identity.roles import PERMISSIONS
from ollamamax.kernel.errors import Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal


def require(acting: Principal, permission: str) -> None:
    """Raises `Forbidden` unless ``acting`` has the permission."""
    if not acting.may(permission):
        raise Forbidden(f"This needs the permission '{permission}'.", permission=permission)


def require_to_grant(acting: Principal, permissions: Iterable[str]) -> None:
    """Nobody gives more than they have. Raises `InvalidRequest` for what is no permission, else `Forbidden`."""
    wanted = frozenset(permissions)
    unknown = sorted(wanted - PERMISSIONS)
    if unknown:
        raise InvalidRequest(f"There is no permission {unknown[0]!r}.", param="permissions")
    lacking = sorted(name for name in wanted if not acting.may(name))
    if lacking:
        raise Forbidden(f"You cannot grant '{lacking[0]}', which you do not have.", permission=lacking[0])


def require_in_tenant(acting: Principal, permission: str) -> uuid.UUID:
    """The tenant of ``acting``, for an action that needs one and this permission. Raises `Forbidden`, `InvalidRequest`."""
    require(acting, permission)
    if acting.tenant is None:
        raise InvalidRequest("This belongs to a tenant, and none was named.", param="tenant")
    return uuid.UUID(acting.tenant)
