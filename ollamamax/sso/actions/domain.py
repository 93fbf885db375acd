"""Writes of the domains of e-mail addresses that are a tenant's own.

An account is made under an address of a verified domain alone, so that no tenant's provider takes the address of somebody else's.
"""

from __future__ import annotations

import re
import secrets
import uuid

from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.bounds import EMAIL_DOMAINS, require_room
from ollamamax.identity.queries import tenant as tenants
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.sso import discovery
from ollamamax.sso.models import EmailDomain
from ollamamax.sso.refusals import SsoRefused

PATH = "/.well-known/ollamamax-domain.txt"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}\.)+{_LABEL}", re.ASCII)


def add_domain(*, acting: Principal, domain: str) -> EmailDomain:
    """Name a domain, which counts once it is verified. Raises `Forbidden`, `InvalidRequest` and `Conflict`."""
    tenant_id = require_in_tenant(acting, "sso.manage")
    domain = domain.strip().lower()
    if not _DOMAIN.fullmatch(domain) or len(domain) > 253:
        raise InvalidRequest(
            "This is no domain such as example.org; others than ASCII names are written as xn--.", param="domain"
        )
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            require_room(EMAIL_DOMAINS, EmailDomain.objects.all())
            made = EmailDomain.objects.create(tenant_id=tenant_id, domain=domain, token=secrets.token_urlsafe(32))
            record(
                acting=acting,
                action="sso.add_domain",
                target_type="email_domain",
                target_id=made.pk,
                tenant=tenant_id,
                detail={"domain": domain},
            )
    except IntegrityError as error:
        raise Conflict("The tenant has named this domain already.") from error
    return made


def verify_domain(*, acting: Principal, domain_id: uuid.UUID) -> EmailDomain:
    """Look whether the domain's own web server shows the token; whoever runs the installation is believed without.

    Raises `Forbidden`, `NotFound`, `InvalidRequest` that says what was found there, and `Conflict` for a domain that is another tenant's.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant_id):
        found = _found(domain_id)
    by_operator = acting.kind == "system" or (acting.may("tenant.manage") and tenants.is_operator(tenant_id))
    if not by_operator and found.verified_at is None:
        _require_token(found)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            found = _found(domain_id)
            if found.verified_at is not None:
                return found
            found.verified_at = timezone.now()
            found.save(update_fields=["verified_at"])
            record(
                acting=acting,
                action="sso.verify_domain",
                target_type="email_domain",
                target_id=found.pk,
                tenant=tenant_id,
                detail={"domain": found.domain, "by": "operator" if by_operator else "token"},
            )
    except IntegrityError as error:
        raise Conflict("This domain is another tenant's already.") from error
    return found


def remove_domain(*, acting: Principal, domain_id: uuid.UUID) -> None:
    """No account is made under its addresses any more; those that there are stay. Raises `Forbidden` and `NotFound`."""
    tenant_id = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        found = _found(domain_id)
        domain, target = found.domain, found.pk
        found.delete()
        record(
            acting=acting,
            action="sso.remove_domain",
            target_type="email_domain",
            target_id=target,
            tenant=tenant_id,
            detail={"domain": domain},
        )


def _found(domain_id: uuid.UUID) -> EmailDomain:
    found = EmailDomain.objects.filter(pk=domain_id).first()
    if found is None:
        raise NotFound("There is no such domain.")
    return found


def _require_token(domain: EmailDomain) -> None:
    address = f"https://{domain.domain}{PATH}"
    try:
        answer = discovery.ask("GET", address, headers={"Accept": "text/plain"})
    except SsoRefused as error:
        raise InvalidRequest(f"{address} could not be read: {error.detail}", param="domain") from error
    shown = answer.body[:1000].decode(errors="replace").strip()
    if answer.status != 200 or not secrets.compare_digest(shown.encode(), domain.token.encode()):
        raise InvalidRequest(
            f"{address} was answered with {answer.status}, and does not hold the token alone.", param="domain"
        )
