"""Revokes a key that somebody found where it should not be. Whoever has its text may: with it they could do worse."""

from __future__ import annotations

import msgspec
from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory, throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import system


def report_leaked_key(*, text: str, address: str, request_id: str = "") -> None:
    """The key ends on every gateway within a second, by whichever of its texts work; of what is no key that works nothing is said.

    Raises `Overloaded` for an address that reports too many.
    """
    attempt.count("leak", throttle.network_of(address))
    found = find_principal(text.strip())
    if found is None or found.tenant is None:
        return
    with tenant_scope(found.tenant), transaction.atomic(durable=True):
        key = ApiKey.objects.select_for_update(of=("self",)).get(pk=found.id)
        if key.revoked_at is not None:
            return
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        record(
            acting=msgspec.structs.replace(system("leak-report", found.tenant), request=request_id),
            action="key.report_leak",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={"name": key.name, "identifier": key.identifier, "address": throttle.network_of(address)},
        )
        directory.publish_key_on_commit(key)
