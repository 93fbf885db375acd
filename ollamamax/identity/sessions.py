"""What a session knows: how and when its user logged in, and in which of their tenants they act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ollamamax.identity.queries.member import TenantRole

TENANT = "tenant"
"""The session's entry that names the tenant its user acts in (UUID, hex)."""
LOG_IN = "log_in"
Method = Literal["password", "passkey", "oidc", "saml", "ldap"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class LogIn:
    """``provider`` names who vouched for the user, empty for this installation itself; ``at`` is in Unix seconds."""

    method: Method
    provider: str
    at: float


Policy = Callable[[LogIn | None, TenantRole], str | None]
"""Why a user who logged in like this may not act in the tenant, in a sentence; ``None`` where nothing is against it."""
policies: list[Policy] = []
"""All are asked at every request. A tenant that demands another way to log in says so by one of them."""


def remember(session: Any, log_in: LogIn) -> None:
    session[LOG_IN] = {"method": log_in.method, "provider": log_in.provider, "at": log_in.at}


def log_in_of(session: Mapping[str, Any] | Any) -> LogIn | None:
    """``None`` for a session that began before sessions kept it."""
    held = session.get(LOG_IN)
    return None if held is None else LogIn(held["method"], held["provider"], held["at"])


def refusal(log_in: LogIn | None, place: TenantRole) -> str | None:
    """The first policy's reason against it."""
    return next((why for policy in policies if (why := policy(log_in, place)) is not None), None)


def current_place(session: Any, places: Iterable[TenantRole]) -> TenantRole | None:
    """Of the tenants that policies let the session's user act in: the one that the session names, or the first."""
    log_in = log_in_of(session)
    open_ = [place for place in places if refusal(log_in, place) is None]
    chosen = session.get(TENANT)
    return next((place for place in open_ if place.id.hex == chosen), open_[0] if open_ else None)
