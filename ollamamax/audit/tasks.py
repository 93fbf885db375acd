"""Door for the tick of the audit trail."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from ollamamax.audit.notes import note_heads


@shared_task(name="audit.note_heads")
def note() -> None:
    note_heads(settings.HOME / "audit")
