"""Reads of service accounts, of the tenant in scope."""

from __future__ import annotations

import uuid

from django.db import models

from ollamamax.identity.models import ServiceAccount
from ollamamax.identity.queries.key import person_behind
from ollamamax.identity.queries.team import teams_of_user
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


def service_accounts() -> models.QuerySet[ServiceAccount]:
    """With role, user and team."""
    return ServiceAccount.objects.select_related("membership__role", "membership__user", "team")


def get_service_account(account_id: uuid.UUID) -> ServiceAccount:
    """Raises `NotFound`."""
    found = service_accounts().filter(pk=account_id).first()
    if found is None:
        raise NotFound("There is no such service account.")
    return found


def may_have_keys(acting: Principal, account: ServiceAccount) -> bool:
    """Whether ``acting`` manages the keys of the account: who manages members, and who is in its team. Queries: up to 2."""
    if acting.may("member.manage"):
        return True
    person = person_behind(acting)
    return person is not None and account.team_id is not None and account.team_id in teams_of_user(person)


def is_program(user: uuid.UUID) -> bool:
    """Whether this is the user of a service account of the tenant in scope. Queries: 1."""
    return ServiceAccount.objects.filter(membership__user=user).exists()
