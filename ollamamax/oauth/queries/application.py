"""Reads of applications."""

from __future__ import annotations

import uuid

from django.db import models

from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.oauth.models import Application, ApplicationUsers


def applications() -> models.QuerySet[Application]:
    """Those of the tenant in scope, with who may use them, the newest first."""
    users = ApplicationUsers.objects.select_related("role", "team").order_by("id")
    return Application.objects.prefetch_related(models.Prefetch("users", users)).order_by("-id")


def get_application(application_id: uuid.UUID) -> Application:
    """Raises `NotFound`."""
    found = applications().filter(pk=application_id).first()
    if found is None:
        raise NotFound("There is no such application.")
    return found


def lock_application(application_id: uuid.UUID) -> Application:
    """For a transaction that changes it. Raises `NotFound`."""
    found = Application.objects.select_for_update().filter(pk=application_id).first()
    if found is None:
        raise NotFound("There is no such application.")
    return found


def find_application(client_id: str) -> Application | None:
    """An enabled one of whatever tenant that is not suspended, with its tenant: who sends a browser here is nobody yet. One query, or none for what is no id."""
    try:
        wanted = uuid.UUID(client_id)
    except ValueError:
        return None
    if str(wanted) != client_id:
        return None
    with every_tenant():
        found = Application.objects.select_related("tenant")
        return found.filter(pk=wanted, enabled=True, tenant__suspended_at=None).first()
