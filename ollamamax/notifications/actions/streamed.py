"""Parts of the audit trail on their way to a stream's receiver: claimed by one process at a time, and how far it is written down."""

from __future__ import annotations

import datetime
import random
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from ollamamax.audit.formats import FIELDS
from ollamamax.audit.personal import opened
from ollamamax.audit.queries import head_numbers, records_after
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.retries import pause
from ollamamax.notifications.models import AuditStream
from ollamamax.notifications.syslog import framed, message

LEASE = datetime.timedelta(seconds=60)
"""Longer than one attempt may take: what a process had that died comes back after it."""
TENANT_AT_ONCE = 4
"""Connections to the receivers of one tenant: those that take their time leave places for others."""
SLICE = 200
"""Records of one connection."""
MOST_PAUSE = 60.0


@dataclass(frozen=True)
class TrailSlice:
    """Records up to ``last`` as they are sent; ``missed`` before them are not there any more."""

    stream: uuid.UUID
    host: str
    port: int
    authority: str
    answered: bool
    data: bytes
    last: int
    missed: int


def claim_slices(runner: str, room: int, version: str) -> list[TrailSlice]:
    """Of up to ``room`` streams that have something to send, what comes next; they are this runner's for a while.

    Queries: 2 where nothing is due, else 3, and 3 or 4 for each stream besides.
    """
    now = timezone.now()
    due = Q(wait_until=None) | Q(wait_until__lte=now)
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    with every_tenant():
        waiting = list(AuditStream.objects.filter(due, free, enabled=True).values_list("pk", "tenant", "chain", "seq"))
    if not waiting:
        return []
    heads = head_numbers({chain for _, _, chain, _ in waiting})
    behind = [(pk, tenant) for pk, tenant, chain, seq in waiting if heads.get(chain, 0) > seq]
    with every_tenant():
        under_way = Counter(AuditStream.objects.filter(lease_until__gt=now).values_list("tenant", flat=True))
    # Any of them, so that those at the end of the list have their turn.
    random.shuffle(behind)
    found: list[TrailSlice] = []
    for pk, tenant in behind:
        if len(found) >= room:
            break
        if under_way[tenant] >= TENANT_AT_ONCE:
            continue
        with every_tenant(), transaction.atomic(durable=True):
            stream = (
                AuditStream.objects.select_for_update(skip_locked=True).filter(due, free, pk=pk, enabled=True).first()
            )
            if stream is None:
                continue
            found += _slice(stream, version)
            under_way[tenant] += 1
            stream.runner, stream.lease_until = runner, now + LEASE
            stream.save(update_fields=["runner", "lease_until"])
    return found


def finish_slice(taken: TrailSlice, runner: str, error: str = "") -> None:
    """Write down that it arrived, or why not; of one that somebody else has taken up meanwhile nothing. Queries: 3."""
    now = timezone.now()
    with every_tenant(), transaction.atomic(durable=True):
        stream = AuditStream.objects.select_for_update().filter(pk=taken.stream, runner=runner).first()
        if stream is None:
            return
        stream.runner, stream.lease_until = "", None
        if error:
            stream.failures += 1
            stream.error = error[:300]
            stream.failing_since = stream.failing_since or now
            seconds = pause(stream.failures, random.random(), first=1.0, most=MOST_PAUSE)  # noqa: S311 - no secret
            stream.wait_until = now + datetime.timedelta(seconds=seconds)
        else:
            stream.seq, stream.missed = taken.last, stream.missed + taken.missed
            stream.failures, stream.error, stream.failing_since, stream.wait_until = 0, "", None, None
            stream.succeeded_at = now
        stream.save()


def _slice(stream: AuditStream, version: str) -> list[TrailSlice]:
    rows = opened(records_after(stream.chain, stream.seq)[:SLICE])
    if not rows:
        return []
    host = urlsplit(settings.PUBLIC_URL).hostname or "-"
    told: list[dict[str, Any]] = [{name: getattr(row, name) for name in FIELDS} for row in rows]
    data = b"".join(framed(message(each, stream.form, host, version)) for each in told)  # type: ignore[arg-type]  # the database has no other
    missed = rows[0].seq - stream.seq - 1
    return [
        TrailSlice(stream.pk, stream.host, stream.port, stream.authority, stream.answered, data, rows[-1].seq, missed)
    ]
