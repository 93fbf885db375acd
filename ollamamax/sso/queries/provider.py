"""Reads of identity providers, rules, domains and identities: of the tenant in scope, and of all where it is not known whose they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import NotFound
from ollamamax.sso.claims import Rule
from ollamamax.sso.models import BreakGlassAccount, EmailDomain, ExternalIdentity, ExternalSession, IdentityProvider
from ollamamax.sso.relying_party import OidcClient
from ollamamax.sso.sealed import opened


def providers() -> models.QuerySet[IdentityProvider]:
    """With their default roles and rules."""
    return IdentityProvider.objects.select_related("default_role", "saml", "ldap").prefetch_related("rules__role")


def get_provider(provider_id: uuid.UUID) -> IdentityProvider:
    """One of the tenant in scope. Raises `NotFound`."""
    found = providers().filter(pk=provider_id).first()
    if found is None:
        raise NotFound("There is no such identity provider.")
    return found


def find_provider(provider_id: uuid.UUID) -> IdentityProvider | None:
    """An enabled one of whatever tenant that is not suspended, with its tenant, role and rules."""
    with every_tenant():
        return (
            providers().select_related("tenant").filter(pk=provider_id, enabled=True, tenant__suspended_at=None).first()
        )


def client_of(provider: IdentityProvider) -> OidcClient:
    """Raises `CannotOpen`."""
    secret = opened(provider.sealed_secret, provider.place)
    return OidcClient(provider.pk, provider.issuer, provider.client_id, secret, tuple(provider.scopes))


def rules_of(provider: IdentityProvider) -> list[Rule]:
    return [Rule(each.claim, each.pattern, each.role.slug) for each in provider.rules.all()]


def is_enabled(tenant: uuid.UUID, provider: str) -> bool:
    """Whether it is a provider of the tenant that may vouch for people now. ``provider`` as a session names it."""
    try:
        found = uuid.UUID(provider)
    except ValueError:
        return False
    with tenant_scope(tenant):
        return IdentityProvider.objects.filter(pk=found, enabled=True).exists()


def is_break_glass(tenant: uuid.UUID, user: uuid.UUID) -> bool:
    with tenant_scope(tenant):
        return BreakGlassAccount.objects.filter(user=user).exists()


@dataclass(frozen=True)
class LogInDoor:
    """A provider that somebody who is not logged in may choose."""

    id: uuid.UUID
    name: str
    tenant: str


def doors_of(*, slug: str = "", email: str = "") -> list[LogInDoor]:
    """The enabled providers of the tenant with this slug, or of the one to whom the address's domain belongs. Queries: 1 to 3."""
    domain = email.rpartition("@")[2].strip().lower()
    with every_tenant():
        tenants = Tenant.objects.filter(suspended_at=None)
        if slug:
            tenants = tenants.filter(slug=slug)
        else:
            owners = EmailDomain.objects.filter(domain=domain, verified_at__isnull=False).values("tenant")
            tenants = tenants.filter(pk__in=owners) if domain else tenants.none()
        found = IdentityProvider.objects.filter(tenant__in=tenants, enabled=True).select_related("tenant")
        return [LogInDoor(each.pk, each.name, each.tenant.name) for each in found.order_by("created_at", "id")]


def owns_address(tenant: uuid.UUID, email: str) -> bool:
    """Whether the domain of an address is verified to be the tenant's."""
    with tenant_scope(tenant):
        domain = email.rpartition("@")[2].lower()
        return EmailDomain.objects.filter(domain=domain, verified_at__isnull=False).exists()


def identities(provider: IdentityProvider) -> models.QuerySet[ExternalIdentity]:
    return ExternalIdentity.objects.filter(provider=provider).select_related("user")


def external_session_of(session_key: str) -> ExternalSession | None:
    """The provider's side of a session, where it has one, with identity and provider."""
    with every_tenant():
        found = ExternalSession.objects.select_related("identity__provider")
        return found.filter(session__session_key=session_key).first() if session_key else None
