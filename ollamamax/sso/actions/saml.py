"""What is kept of providers that speak SAML: their metadata, our key, answers that wait for their browser, and what must not count twice."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.tokens import hash_of, new_token
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.outbound.addresses import OutboundRefused, checked_url
from ollamamax.sso import discovery
from ollamamax.sso.models import IdentityProvider, SamlAnswer, SamlSettings, UsedToken
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.assertion import Asserted
from ollamamax.sso.saml.keys import new_key
from ollamamax.sso.saml.metadata import MOST_METADATA, SamlTrust, read_metadata
from ollamamax.sso.sealed import opened, sealed
from ollamamax.sso.tokens import LEEWAY
from ollamamax.sso.vouched import Vouched

ANSWER_SECONDS = 120
OPTIONS = ("subject_claim", "unsolicited", "encrypted")


def trust_of(given: Mapping[str, Any]) -> SamlTrust | None:
    """From the metadata that are given, or those at their address, which is asked; ``None`` where neither is given. Raises `InvalidRequest`."""
    name = "metadata_url" if given.get("metadata_url") else "metadata"
    if not given.get(name):
        return None
    try:
        found = read_metadata(_fetched(given[name]) if name == "metadata_url" else str(given[name]).encode())
        for address in filter(None, (found.sso, found.slo)):
            checked_url(address, settings.OUTBOUND_RULES)
    except SsoRefused as refused:
        raise InvalidRequest(refused.detail, param=f"saml.{name}") from refused
    except OutboundRefused as error:
        raise InvalidRequest(f"The provider's address cannot be used: {error}", param=f"saml.{name}") from error
    return found


def _fetched(url: str) -> bytes:
    answer = discovery.ask(
        "GET", url, headers={"Accept": "application/samlmetadata+xml, application/xml"}, most=MOST_METADATA
    )
    if answer.status != 200:
        raise SsoRefused(Why.BAD_DISCOVERY, f"The metadata were answered with {answer.status}.")
    return answer.body


def take_saml(provider: IdentityProvider, given: Mapping[str, Any], trust: SamlTrust | None) -> dict[str, Any]:
    """Within a transaction: keep what is given; returns what is another than before, without what is secret. Raises `InvalidRequest`."""
    row = SamlSettings.objects.filter(provider=provider).first()
    if row is None:
        if trust is None:
            raise InvalidRequest("The provider's metadata, or their address, are needed.", param="saml.metadata")
        now = timezone.now()
        row = SamlSettings(tenant_id=provider.tenant_id, provider=provider, read_at=now)
        key, row.certificate = new_key(f"OllamaMax {provider.pk.hex[:12]}", now)
        row.sealed_key = sealed(key, row.place)
    values: dict[str, Any] = {name: given[name] for name in OPTIONS if name in given}
    if trust is not None:
        values |= {"sso_url": trust.sso, "slo_url": trust.slo, "certificates": list(trust.certificates)}
        values["metadata_url"] = given.get("metadata_url", "")
    changed = dict(take_over(row, values))
    if trust is not None:
        row.read_at = timezone.now()
    row.save()
    return changed


def use_once(provider: IdentityProvider, identifier: str, ends: float) -> None:
    """In the tenant's scope and a transaction. Raises `SsoRefused` for an identifier that was used already."""
    until = datetime.datetime.fromtimestamp(ends + 2 * LEEWAY, datetime.UTC)
    try:
        with transaction.atomic():
            UsedToken.objects.create(
                tenant_id=provider.tenant_id, provider=provider, identifier=hash_of(identifier), expires_at=until
            )
    except IntegrityError as error:
        raise SsoRefused(Why.REPLAYED, "This message was used already.") from error


def take_assertion(provider: IdentityProvider, found: Asserted) -> Vouched:
    """Whom it vouches for; it counts once. Raises `SsoRefused`."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        use_once(provider, found.id, found.ends)
    name = found.name_id
    hint = json.dumps([name.text, name.format, name.qualifier, name.our_qualifier])
    return Vouched(found.subject, found.claims, found.session_index, hint)


def keep_answer(provider: IdentityProvider, found: Asserted) -> str:
    """Once, for the browser that asked: returns the ticket by which it comes for it. Raises `SsoRefused`."""
    vouched = take_assertion(provider, found)
    ticket = new_token()
    row = SamlAnswer(
        tenant_id=provider.tenant_id,
        provider=provider,
        ticket_hash=ticket.hash,
        expires_at=timezone.now() + datetime.timedelta(seconds=ANSWER_SECONDS),
    )
    held = {"answers": found.answers, "subject": vouched.subject, "claims": dict(vouched.claims)}
    row.sealed = sealed(json.dumps(held | {"sid": vouched.sid, "hint": vouched.hint}), row.place)
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        row.save(force_insert=True)
    return ticket.text


def take_answer(provider: IdentityProvider, ticket: str) -> tuple[str, Vouched]:
    """Which request it answers, and whom it vouches for. A ticket counts once. Raises `SsoRefused`, and `CannotOpen`."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        found = SamlAnswer.objects.filter(provider=provider, ticket_hash=hash_of(ticket), expires_at__gt=timezone.now())
        row = found.select_for_update().first()
        if row is None:
            raise SsoRefused(Why.UNKNOWN_STATE, "There is no such answer, or somebody came for it already.")
        held = json.loads(opened(row.sealed, row.place))
        row.delete()
    return held["answers"], Vouched(held["subject"], held["claims"], held["sid"], held["hint"])
