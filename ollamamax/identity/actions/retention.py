"""Removes what ended long ago: a slice of each kind at a time, with an audit record for each tenant that had some.

What the audit trail says of them stays: its records have no foreign keys.
"""

from __future__ import annotations

import datetime
from collections import Counter

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.retention import ENDINGS, ExpiringRows, unneeded
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.principal import system

SLICE = 500
"""Rows of one kind that one transaction removes."""
SLICES = 4
"""Slices of one kind in one run: a backlog takes several, and nobody waits for it."""
_log = logs.get(__name__)


def remove_ended() -> int:
    """Returns how many rows were removed. Safe to run twice. One kind that fails leaves the others."""
    removed = 0
    with every_tenant():
        for ending in ENDINGS:
            before = timezone.now() - datetime.timedelta(days=settings.ENV[ending.setting])
            try:
                for _ in range(SLICES):
                    some = _remove_slice(ending, before)
                    removed += some
                    if some < SLICE:
                        break
            except DatabaseError:
                _log.exception("retention_failed", noun=ending.noun)
    return removed


def _remove_slice(ending: ExpiringRows, before: datetime.datetime) -> int:
    with transaction.atomic(durable=True):
        rows = unneeded(ending.ended(before)).order_by("pk").select_for_update(skip_locked=True, of=("self",))
        some = list(rows[:SLICE])
        if some:
            rows.model._base_manager.filter(pk__in=[row.pk for row in some]).delete()
        tenants = Counter(row.tenant_id for row in some) if ending.noun else Counter()
        for tenant, count in sorted(tenants.items()):
            record(
                acting=system("retention"),
                action=f"{ending.noun}.forget",
                target_type=ending.noun,
                target_id="",
                tenant=tenant,
                detail={
                    "removed": count,
                    "ended_before": before.isoformat(timespec="seconds"),
                    "setting": ending.setting,
                },
            )
    return len(some)
