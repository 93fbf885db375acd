"""Reads of a tenant's domains, its break-glass accounts, and identities of one user."""

from __future__ import annotations

import uuid

from django.db import models

from ollamamax.kernel.errors import NotFound
from ollamamax.sso.models import BreakGlassAccount, EmailDomain, ExternalIdentity


def domains() -> models.QuerySet[EmailDomain]:
    return EmailDomain.objects.all()


def get_domain(domain_id: uuid.UUID) -> EmailDomain:
    """Raises `NotFound`."""
    found = domains().filter(pk=domain_id).first()
    if found is None:
        raise NotFound("There is no such domain.")
    return found


def break_glass_accounts() -> models.QuerySet[BreakGlassAccount]:
    return BreakGlassAccount.objects.select_related("user")


def get_account(account_id: uuid.UUID) -> BreakGlassAccount:
    """Raises `NotFound`."""
    found = break_glass_accounts().filter(pk=account_id).first()
    if found is None:
        raise NotFound("There is no such break-glass account.")
    return found


def identities_of(user: uuid.UUID) -> models.QuerySet[ExternalIdentity]:
    """The user's, at providers of the tenant in scope."""
    return ExternalIdentity.objects.filter(user=user).select_related("provider").order_by("-created_at")
