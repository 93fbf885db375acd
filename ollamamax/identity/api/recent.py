"""Dangerous acts: for these a session's user has to have shown a moment ago that it is they. The one list, and the one check.

A program's key proves itself with each request, and is not asked.
"""

from __future__ import annotations

from typing import Any, Literal

from rest_framework.request import Request

from ollamamax.identity import sessions
from ollamamax.identity.actions.proof import has_site
from ollamamax.identity.models import User
from ollamamax.identity.queries.second_factor import has_factor, ways_of
from ollamamax.kernel.errors import ConfirmationNeeded

Asked = Literal["recent", "own"]
"""``recent``: any proof, an identity provider's word too. ``own``: what the person alone has, so that nobody who vouches for them gets in by it."""

_API = "api/v1/"
DANGEROUS: dict[tuple[str, str], Asked] = {
    # Ways into one's own account.
    ("POST", f"{_API}account/authenticators"): "own",
    ("POST", f"{_API}account/authenticators/<uuid:factor_id>/confirm"): "own",
    ("DELETE", f"{_API}account/authenticators/<uuid:factor_id>"): "own",
    ("POST", f"{_API}account/passkeys/options"): "own",
    ("POST", f"{_API}account/passkeys"): "own",
    ("DELETE", f"{_API}account/passkeys/<uuid:factor_id>"): "own",
    ("POST", f"{_API}account/recovery-codes"): "own",
    ("POST", f"{_API}account/identities"): "own",
    # What cannot be had back.
    ("POST", f"{_API}audit/erasures"): "recent",
    # Where the trail is given to.
    ("POST", f"{_API}audit/streams"): "recent",
    ("PATCH", f"{_API}audit/streams/<uuid:stream_id>"): "recent",
    # Secrets that are shown.
    ("POST", f"{_API}keys"): "recent",
    ("POST", f"{_API}keys/<uuid:key_id>/rotate"): "recent",
    ("PATCH", f"{_API}keys/<uuid:key_id>"): "recent",
    ("POST", f"{_API}workloads"): "recent",
    ("POST", f"{_API}applications"): "recent",
    ("PATCH", f"{_API}applications/<uuid:application_id>"): "recent",
    ("POST", f"{_API}applications/<uuid:application_id>/rotate"): "recent",
    ("POST", f"{_API}nodes/tokens"): "recent",
    ("POST", f"{_API}webhooks"): "recent",
    ("POST", f"{_API}webhooks/<uuid:webhook_id>/rotate"): "recent",
    # Who may what, owners among them.
    ("PATCH", f"{_API}members/<uuid:membership_id>"): "recent",
    ("DELETE", f"{_API}members/<uuid:membership_id>"): "recent",
    ("POST", f"{_API}roles"): "recent",
    ("PATCH", f"{_API}roles/<uuid:role_id>"): "recent",
    ("DELETE", f"{_API}roles/<uuid:role_id>"): "recent",
    ("POST", f"{_API}invitations"): "recent",
    ("POST", f"{_API}service-accounts"): "recent",
    ("PATCH", f"{_API}service-accounts/<uuid:account_id>"): "recent",
    ("POST", f"{_API}grants"): "recent",
    ("POST", f"{_API}team-grants"): "recent",
    ("POST", f"{_API}teams/<uuid:team_id>/members"): "recent",
    ("PATCH", f"{_API}teams/<uuid:team_id>"): "recent",
    ("DELETE", f"{_API}service-accounts/<uuid:account_id>"): "recent",
    # How members log in.
    ("POST", f"{_API}sso/domains"): "recent",
    ("DELETE", f"{_API}sso/break-glass/<uuid:account_id>"): "recent",
    ("POST", f"{_API}sso/providers/<uuid:provider_id>/directory/tokens"): "recent",
    ("POST", f"{_API}sso/providers/<uuid:provider_id>/directory/tokens/<uuid:token_id>/rotate"): "recent",
    ("POST", f"{_API}sso/providers"): "recent",
    ("PATCH", f"{_API}sso/providers/<uuid:provider_id>"): "recent",
    ("DELETE", f"{_API}sso/providers/<uuid:provider_id>"): "recent",
    ("PATCH", f"{_API}sso/policy"): "recent",
    ("POST", f"{_API}sso/break-glass"): "recent",
    ("PATCH", f"{_API}tenant/sign-in"): "recent",
    # What cannot be taken back, or reaches far.
    ("POST", f"{_API}tenants/<uuid:tenant_id>/suspend"): "recent",
    ("POST", f"{_API}tenants/<uuid:tenant_id>/deletion"): "recent",
    ("GET", f"{_API}tenants/<uuid:tenant_id>/export"): "recent",
    ("DELETE", f"{_API}nodes/<uuid:node_id>"): "recent",
    ("GET", f"{_API}audit/export"): "recent",
}
"""By method and route, as in `ollamamax.urls`. An item of a bulk change counts as that change alone."""


def require_recent(request: Request, method: str, route: str) -> None:
    """Raises `ConfirmationNeeded`, with the ways in which the user can confirm, unless they did so a moment ago. Queries: none for acts that are not listed."""
    asked = DANGEROUS.get((method, route))
    user: Any = request.user
    if asked is None or not isinstance(user, User):
        return
    own = asked == "own"
    by_factor = has_factor(user.pk)
    if not sessions.is_confirmed(request.session, own=own, by_factor=by_factor):
        raise ConfirmationNeeded("Confirm that it is you.", **confirming(request, user, own=own))


def confirming(request: Request, user: User, *, own: bool) -> dict[str, Any]:
    """How the user can confirm: ``ways``, and ``provider`` (its id) for who came by one, where its word is enough."""
    host = request.get_host().partition(":")[0].lower()
    ways = ways_of(user.pk, host)
    if not ways and user.has_usable_password():
        ways = ["password"]
    if "passkey" in ways and not has_site(request._request):
        ways.remove("passkey")
    log_in = sessions.log_in_of(request.session)
    through = log_in is not None and log_in.provider and not own
    return {"ways": ways, "provider": log_in.provider if log_in is not None and through else None}
