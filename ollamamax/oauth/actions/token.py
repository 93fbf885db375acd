"""Issues access tokens: to who shows the secret of a key, and to a workload for its issuer's word."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from ollamamax import logs
from ollamamax.identity import access_tokens
from ollamamax.identity.actions.key_use import note_key_use
from ollamamax.identity.actions.signing_key import ensure_signing_key, private_half
from ollamamax.identity.queries.key import UsableKey, usable_key_by_id, usable_key_of
from ollamamax.kernel.errors import Unavailable
from ollamamax.oauth.actions.workload import note_workload_use
from ollamamax.oauth.queries.workload import find_workload
from ollamamax.oauth.workload_claims import claim_of, why_not
from ollamamax.sso.discovery import claims_by_issuer
from ollamamax.sso.refusals import SsoRefused, Why

_log = logs.get(__name__)


class OAuthRefused(Exception):
    """``error`` is a code of RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class IssuedToken:
    """``scope`` are the permissions that its key has now, or those that were asked for. ``seconds`` until it ends."""

    text: str
    seconds: int
    scope: list[str]


def issue_for_secret(*, client: str, secret: str, scope: Iterable[str], address: str | None) -> IssuedToken:
    """By the client credentials of a key: its identifier (``client``, with or without its beginning) and its secret or whole text.

    Raises `OAuthRefused`.
    """
    identifier = client.removeprefix("omx_")
    text = secret if secret.startswith("omx_") else f"omx_{identifier}_{secret}"
    found = usable_key_of(text)
    if found is None or found.text.identifier != identifier:
        raise OAuthRefused("invalid_client", "The client is unknown, or its secret is wrong, expired or revoked.")
    return _issued(found, scope, address, access_tokens.SECONDS)


def issue_for_workload(*, client: str, token: str, scope: Iterable[str], address: str | None) -> IssuedToken:
    """For a token of a workload's issuer; ``client`` is the workload's id. What is against it goes to the log and not to who asks: they may be anybody.

    Raises `OAuthRefused`, and `Unavailable` while the issuer does not answer.
    """
    refused = OAuthRefused("invalid_grant", "The workload's token is not what is trusted.")
    try:
        workload = find_workload(uuid.UUID(client))
    except ValueError:
        workload = None
    found = usable_key_by_id(workload.key_id) if workload is not None else None
    if workload is None or found is None:
        raise OAuthRefused("invalid_client", "There is no such workload.")
    now = time.time()
    try:
        claims = claims_by_issuer(workload.issuer, token)
    except SsoRefused as error:
        _log.info("workload_refused", workload=workload.id.hex, reason=str(error.why))
        if error.why in (Why.UNREACHABLE, Why.TOO_OFTEN):
            # Nothing is wrong with the token, as far as anybody knows: its sender may come again.
            raise Unavailable("The workload's issuer does not answer.", retry_after=5) from error
        raise refused from error
    against = why_not(
        claims,
        issuer=workload.issuer,
        audience=workload.audience,
        rules=[(claim, pattern) for claim, pattern in workload.rules],
        now=now,
    )
    if against is not None:
        _log.info("workload_refused", workload=workload.id.hex, reason=against)
        raise refused
    seconds = max(1, min(access_tokens.SECONDS, int(claims["exp"] - now)))
    issued = _issued(found, scope, address, seconds)
    note_workload_use(workload)
    subject = str(claim_of(claims, "sub"))[:200]
    _log.info("workload_token", workload=workload.id.hex, tenant=workload.tenant_id.hex, subject=subject)
    return issued


def _issued(found: UsableKey, scope: Iterable[str], address: str | None, seconds: int) -> IssuedToken:
    if not found.reach.has_address(address):
        raise OAuthRefused("invalid_client", "The key may not be used from your address.")
    wanted, held = frozenset(scope), found.permissions
    if not wanted <= held:
        raise OAuthRefused("invalid_scope", "The key does not have all of these permissions.")
    signing = ensure_signing_key()
    now = time.time()
    if found.text.expires_at is not None:
        seconds = max(1, min(seconds, int(found.text.expires_at - now)))
    text = access_tokens.make_access_token(
        private_half(signing),
        signing.kid,
        issuer=settings.PUBLIC_URL.rstrip("/"),
        identifier=found.text.identifier,
        secret_hash=found.text.secret_hash,
        client=f"omx_{found.text.identifier}",
        scope=wanted or None,
        now=now,
        seconds=seconds,
    )
    note_key_use(found.id.hex)
    return IssuedToken(text, seconds, sorted(wanted or held))
