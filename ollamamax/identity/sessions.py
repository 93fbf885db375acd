"""What a session knows: how and when its user logged in, what they proved since, and in which of their tenants they act."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ollamamax.identity.queries.member import TenantRole

TENANT = "tenant"
"""The session's entry that names the tenant its user acts in (UUID, hex)."""
LOG_IN = "log_in"
CONFIRMED = "confirmed"
Method = Literal["password", "passkey", "oidc", "saml", "ldap"]
METHODS: tuple[Method, ...] = get_args(Method)
BY_PASSWORD: frozenset[Method] = frozenset({"password", "ldap"})
"""Those by which a password alone was shown, here or to a directory."""
Factor = Literal["", "totp", "passkey", "recovery_code"]
FACTORS: tuple[Factor, ...] = get_args(Factor)
Proof = Literal["password", "passkey", "totp", "recovery_code", "oidc", "saml", "ldap"]
OWN: frozenset[Proof] = frozenset({"password", "passkey", "totp", "recovery_code"})
"""What the person alone has: no identity provider can show it."""
RECENT_SECONDS = 900.0
"""How long what was proven counts for acts that ask for it anew."""


@dataclass(frozen=True)
class LogIn:
    """``provider`` names who vouched for the user, empty for this installation itself; ``at`` is in Unix seconds; ``factor`` is what they
    proved besides, empty for nothing."""

    method: Method
    provider: str
    at: float
    factor: Factor = ""


@dataclass(frozen=True)
class Confirmation:
    """Proof of who it is, at a time in Unix seconds."""

    proof: Proof
    at: float


Policy = Callable[[LogIn | None, TenantRole], str | None]
"""Why a user who logged in like this may not act in the tenant, in a sentence; ``None`` where nothing is against it."""
policies: list[Policy] = []
"""All are asked at every request. A tenant that demands another way to log in says so by one of them."""


def remember(session: Any, log_in: LogIn) -> None:
    session[LOG_IN] = {
        "method": log_in.method,
        "provider": log_in.provider,
        "at": log_in.at,
        "factor": log_in.factor,
    }


def log_in_of(session: Mapping[str, Any] | Any) -> LogIn | None:
    """``None`` for a session that began before sessions kept it."""
    held = session.get(LOG_IN)
    return None if held is None else LogIn(held["method"], held["provider"], held["at"], held.get("factor", ""))


def confirm(session: Any, proof: Proof, at: float) -> None:
    """The session's user proved anew that it is they. What the one before was worth is kept apart: another's word is not the person's own."""
    session[CONFIRMED] = {**session.get(CONFIRMED, {}), proof: at}


def confirmations_of(session: Any) -> list[Confirmation]:
    """All that was proven in this session, its log-in first."""
    found = [Confirmation(proof, at) for proof, at in session.get(CONFIRMED, {}).items()]
    log_in = log_in_of(session)
    if log_in is None:
        return found
    # A password that a factor followed is worth that.
    proof: Proof = log_in.factor or log_in.method
    return [Confirmation(proof, log_in.at), *found]


def is_confirmed(session: Any, *, own: bool, by_factor: bool, now: float | None = None) -> bool:
    """Whether its user proved a moment ago that it is they. ``own``: by what they alone have, and no provider's word.
    ``by_factor``: they have a factor, so that a password is not enough."""
    moment = time.time() if now is None else now
    return any(
        0 <= moment - each.at <= RECENT_SECONDS
        and (each.proof in OWN or not own)
        and not (by_factor and each.proof == "password")
        for each in confirmations_of(session)
    )


def needs_factor(log_in: LogIn | None, place: TenantRole) -> str | None:
    """A policy of sessions: what the tenant asks of who came by a password, and whether it takes a passkey alone.

    A provider sees to it itself that who it vouches for is who they are, but a directory, which knows passwords alone.
    """
    if log_in is not None and log_in.method == "passkey":
        return None if place.takes_passkeys else f"{place.name} does not take a passkey alone: log in by password."
    if log_in is not None and (log_in.method not in BY_PASSWORD or log_in.factor):
        return None
    if place.factor_required_at is None or place.factor_required_at.timestamp() > time.time():
        return None
    return f"{place.name} asks its members for a second factor."


policies.append(needs_factor)


def is_kept_out(log_in: LogIn | None, place: TenantRole) -> bool:
    """Whether all that is against it is that a second factor was not proven, which whoever logged in can set up."""
    against = [policy for policy in policies if policy(log_in, place) is not None]
    by_password = log_in is not None and log_in.method in BY_PASSWORD
    return by_password and bool(against) and all(policy is needs_factor for policy in against)


def refusal(log_in: LogIn | None, place: TenantRole) -> str | None:
    """The first policy's reason against it."""
    return next((why for policy in policies if (why := policy(log_in, place)) is not None), None)


def current_place(session: Any, places: Iterable[TenantRole]) -> TenantRole | None:
    """Of the tenants that policies let the session's user act in: the one that the session names, or the first."""
    log_in = log_in_of(session)
    open_ = [place for place in places if refusal(log_in, place) is None]
    chosen = session.get(TENANT)
    return next((place for place in open_ if place.id.hex == chosen), open_[0] if open_ else None)
