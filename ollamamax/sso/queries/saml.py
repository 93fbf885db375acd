"""Reads of providers that speak SAML: what they have besides, and what we are to them."""

from __future__ import annotations

from django.conf import settings

from ollamamax.identity.scope import tenant_scope
from ollamamax.sso.models import IdentityProvider, SamlSettings
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.assertion import SamlExpected
from ollamamax.sso.saml.metadata import ServiceProvider
from ollamamax.sso.sealed import opened


def entity_of(provider: IdentityProvider) -> str:
    """How we are called: the address of our metadata, as it was when the provider was set up."""
    return saml_address(provider, "metadata")


def saml_address(provider: IdentityProvider, what: str) -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}/auth/saml/{provider.pk}/{what}"


def settings_of(provider: IdentityProvider) -> SamlSettings:
    """Raises `SsoRefused`. Queries: 1."""
    with tenant_scope(provider.tenant_id):
        found = SamlSettings.objects.filter(provider=provider).first()
    if found is None:
        raise SsoRefused(Why.UNKNOWN_PROVIDER, "The provider does not speak SAML.")
    return found


def service_provider(provider: IdentityProvider) -> ServiceProvider:
    certificate = settings_of(provider).certificate
    return ServiceProvider(
        provider.client_id, saml_address(provider, "acs"), saml_address(provider, "log-out"), certificate
    )


def key_of_ours(row: SamlSettings) -> str:
    """In PEM. Raises `CannotOpen`."""
    return opened(row.sealed_key, row.place)


def expected_of(provider: IdentityProvider) -> SamlExpected:
    """Raises `SsoRefused` and `CannotOpen`."""
    row = settings_of(provider)
    return SamlExpected(
        issuer=provider.issuer,
        audience=provider.client_id,
        acs=saml_address(provider, "acs"),
        certificates=row.certificates,
        key=key_of_ours(row),
        encrypted=row.encrypted,
        subject_claim=row.subject_claim,
    )
