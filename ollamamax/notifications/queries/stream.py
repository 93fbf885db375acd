"""Reads of audit streams."""

from __future__ import annotations

import uuid

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ollamamax.audit.models import ChainHead
from ollamamax.kernel.errors import NotFound
from ollamamax.notifications.models import AuditStream


def streams() -> QuerySet[AuditStream]:
    """Those of the tenant in scope, each with the number of its chain's last record as ``head``."""
    head = ChainHead.objects.filter(chain=OuterRef("chain")).values("seq")
    return AuditStream.objects.annotate(head=Coalesce(Subquery(head), 0))


def get_stream(stream_id: uuid.UUID) -> AuditStream:
    """Raises `NotFound`."""
    found = streams().filter(pk=stream_id).first()
    if found is None:
        raise NotFound("There is no such stream.")
    return found
