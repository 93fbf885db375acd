"""Reads of roles and grants, of the tenant in scope."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypeVar

from django.db import models

from ollamamax.identity.models import Grant, Role
from ollamamax.identity.rights import granted_on
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

_Row = TypeVar("_Row", bound=models.Model)


def roles() -> models.QuerySet[Role]:
    """The tenant's own, and those of every installation."""
    return Role.objects.all()


def get_role(role_id: uuid.UUID) -> Role:
    """Raises `NotFound`."""
    found = roles().filter(pk=role_id).first()
    if found is None:
        raise NotFound("There is no such role.")
    return found


def find_role(slug: str) -> Role:
    """Raises `InvalidRequest`. A slug of the system's is no tenant's."""
    found = roles().filter(slug=slug).first()
    if found is None:
        raise InvalidRequest(f"There is no role {slug!r}.", param="role")
    return found


def grants() -> models.QuerySet[Grant]:
    return Grant.objects.select_related("membership__user")


def get_grant(grant_id: uuid.UUID) -> Grant:
    """Raises `NotFound`."""
    found = grants().filter(pk=grant_id).first()
    if found is None:
        raise NotFound("There is no such grant.")
    return found


def restrict(
    acting: Principal, permissions: Sequence[str], kind: str, rows: models.QuerySet[_Row], field: str = "pk"
) -> models.QuerySet[_Row]:
    """Those of ``rows`` on which ``acting`` has one of the permissions; ``field`` leads to the object of this kind."""
    if any(acting.may(permission) for permission in permissions):
        return rows
    return rows.filter(**{f"{field}__in": {id_ for name in permissions for id_ in granted_on(acting, name, kind)}})
