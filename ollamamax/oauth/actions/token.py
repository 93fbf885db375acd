"""Issues access tokens: to who shows the secret of a key, and to a workload for its issuer's word, or for a refresh token that it was given with that."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import transaction

from ollamamax import logs
from ollamamax.identity import access_tokens
from ollamamax.identity.actions.key_use import note_key_use
from ollamamax.identity.actions.signing_key import ensure_signing_key, private_half
from ollamamax.identity.queries.key import UsableKey, usable_key_by_id, usable_key_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Unavailable
from ollamamax.oauth.actions.family import begin_workload_family, next_refresh_token, take_refresh_token
from ollamamax.oauth.actions.workload import note_workload_use
from ollamamax.oauth.models import Workload
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
    """``scope`` are the permissions that its key has now, or those that were asked for. ``seconds`` until it ends. ``refresh`` is the text of a refresh
    token; empty for none."""

    text: str
    seconds: int
    scope: list[str]
    refresh: str = ""


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

    With a refresh token, where the workload may go on by those.

    Raises `OAuthRefused`, and `Unavailable` while the issuer does not answer.
    """
    refused = OAuthRefused("invalid_grant", "The workload's token is not what is trusted.")
    workload, found = _workload(client)
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
    if not workload.refresh_seconds:
        return issued
    with tenant_scope(workload.tenant_id), transaction.atomic(durable=True):
        family = begin_workload_family(workload, list(scope), seconds=workload.refresh_seconds)
        return replace(issued, refresh=next_refresh_token(family))


def issue_for_refresh_token(*, client: str, token: str, scope: Iterable[str], address: str | None) -> IssuedToken:
    """For a refresh token of a workload's, which counts once; ``client`` is the workload's id. ``scope`` may be narrower than it was at the issuer's word.

    Raises `OAuthRefused`.
    """
    workload, found = _workload(client)
    wanted = frozenset(scope)
    with tenant_scope(workload.tenant_id), transaction.atomic(durable=True):
        # A refusal may have revoked something: it is committed too, and told after that.
        held = take_refresh_token(token, workload=workload) if workload.refresh_seconds else None
        first = frozenset() if held is None else frozenset(held.family.scope.split())
        wanted = wanted or first
        refusal = _against(found, wanted, address)
        if held is None:
            refusal = OAuthRefused("invalid_grant", "The refresh token does not count, or not any more.")
        elif first and not wanted <= first:
            refusal = OAuthRefused("invalid_scope", "The token before did not have all of these permissions.")
        refresh = next_refresh_token(held.family, after=held) if held is not None and refusal is None else ""
    if refusal is not None:
        raise refusal
    return replace(_issued(found, wanted, address, access_tokens.SECONDS), refresh=refresh)


def _workload(client: str) -> tuple[Workload, UsableKey]:
    """With its key. Raises `OAuthRefused`."""
    try:
        workload = find_workload(uuid.UUID(client))
    except ValueError:
        workload = None
    found = usable_key_by_id(workload.key_id) if workload is not None else None
    if workload is None or found is None:
        raise OAuthRefused("invalid_client", "There is no such workload.")
    return workload, found


def _against(found: UsableKey, wanted: frozenset[str], address: str | None) -> OAuthRefused | None:
    if not found.reach.has_address(address):
        return OAuthRefused("invalid_client", "The key may not be used from your address.")
    if not wanted <= found.permissions:
        return OAuthRefused("invalid_scope", "The key does not have all of these permissions.")
    return None


def _issued(found: UsableKey, scope: Iterable[str], address: str | None, seconds: int) -> IssuedToken:
    wanted = frozenset(scope)
    refusal = _against(found, wanted, address)
    if refusal is not None:
        raise refusal
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
    return IssuedToken(text, seconds, sorted(wanted or found.permissions))
