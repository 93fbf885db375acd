"""Makes events of the audit trail's records, which are the outbox: each stands in the transaction of its change, in a chain without a hole."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction

from ollamamax.audit.actions import SYSTEM
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.audit.queries import head_numbers, records_after
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.notifications.actions.queue import queue_events
from ollamamax.notifications.models import AuditCursor, Webhook
from ollamamax.notifications.payload import Actor, AuditData, AuditTarget, Payload

SLICE = 500
"""Records that one transaction takes."""
SLICES = 20
"""Of one chain in one run, so that others are looked at too."""


def fan_out(check: Callable[[], None] = lambda: None) -> int:
    """Queue what was recorded since the last run; how many records were looked at. ``check`` raises when another process does this.

    Queries: 2, and 4 to 6 for each slice of a chain that has grown.
    """
    with every_tenant():
        cursors = list(AuditCursor.objects.order_by("pk"))
    heads = head_numbers({each.chain for each in cursors})
    seen = 0
    for cursor in cursors:
        if heads.get(cursor.chain, 0) > cursor.seq:
            for _ in range(SLICES):
                some = _take_slice(cursor, check)
                seen += some
                if some < SLICE:
                    break
    return seen


def _take_slice(cursor: AuditCursor, check: Callable[[], None]) -> int:
    with tenant_scope(cursor.tenant_id), transaction.atomic(durable=True):
        check()
        held = AuditCursor.objects.select_for_update().filter(pk=cursor.pk).first()
        if held is None:
            return 0
        records = opened(records_after(held.chain, held.seq)[:SLICE])
        if not records:
            return 0
        webhooks = list(Webhook.objects.filter(enabled=True))
        queue_events(held.tenant_id, map(_payload, records), webhooks)
        held.seq = records[-1].seq
        held.save(update_fields=["seq"])
    return len(records)


def _payload(record: AuditRecord) -> Payload:
    data = AuditData(
        record.seq,
        Actor(record.actor_kind, record.actor_id, record.actor_name),
        AuditTarget(record.target_type, record.target_id),
        record.request,
        record.detail,
    )
    return Payload(record.action, record.at, None if record.chain == SYSTEM else record.chain, data)
