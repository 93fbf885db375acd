"""Removes what was kept long enough, and ends what nobody works on any more."""

from __future__ import annotations

from django.db.models.functions import Now

from ollamamax.identity.scope import every_tenant
from ollamamax.responses.models import Conversation, KeptResponse

_AT_ONCE = 1000


def sweep_responses() -> int:
    """Returns how many responses and conversations were removed."""
    with every_tenant():
        removed = 0
        for kept in (KeptResponse.objects, Conversation.objects):
            while some := list(kept.filter(expires_at__lte=Now()).values_list("pk", flat=True)[:_AT_ONCE]):
                kept.filter(pk__in=some).delete()
                removed += len(some)
        KeptResponse.objects.filter(
            status__in=KeptResponse.UNFINISHED, is_background=False, lease_until__lte=Now()
        ).update(status=KeptResponse.Status.FAILED, lease_until=None)
    return removed
