"""Addresses of single sign-on below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.identity.api.bulk import bulk_of
from ollamamax.sso.api.enforcement import (
    BreakGlassListView,
    BreakGlassView,
    EmailDomainListView,
    EmailDomainVerifyView,
    EmailDomainView,
    SsoPolicyView,
)
from ollamamax.sso.api.ldap import DirectoryLogInView
from ollamamax.sso.api.log_in import DoorsView, OwnIdentityListView, OwnIdentityView, PendingLinkView, SsoLogOutView
from ollamamax.sso.api.provider import DryRunView, IdentityProviderListView, IdentityProviderView, ProviderTestView

urlpatterns = [
    path("sso/providers", IdentityProviderListView.as_view(), name="sso-providers"),
    path(
        "sso/providers/bulk",
        bulk_of(IdentityProviderView, "provider_id", "sso_providers").as_view(),
        name="sso-providers-bulk",
    ),
    path("sso/providers/<uuid:provider_id>", IdentityProviderView.as_view(), name="sso-provider"),
    path("sso/providers/<uuid:provider_id>/dry-run", DryRunView.as_view(), name="sso-dry-run"),
    path("sso/providers/<uuid:provider_id>/test", ProviderTestView.as_view(), name="sso-test"),
    path("sso/domains", EmailDomainListView.as_view(), name="sso-domains"),
    path("sso/domains/<uuid:domain_id>", EmailDomainView.as_view(), name="sso-domain"),
    path("sso/domains/<uuid:domain_id>/verify", EmailDomainVerifyView.as_view(), name="sso-domain-verify"),
    path("sso/policy", SsoPolicyView.as_view(), name="sso-policy"),
    path("sso/break-glass", BreakGlassListView.as_view(), name="sso-break-glass"),
    path("sso/break-glass/<uuid:account_id>", BreakGlassView.as_view(), name="sso-break-glass-one"),
    path("sso/doors", DoorsView.as_view(), name="sso-doors"),
    path("sso/link", PendingLinkView.as_view(), name="sso-link"),
    path("sso/directory-log-in", DirectoryLogInView.as_view(), name="sso-directory-log-in"),
    path("sso/log-out", SsoLogOutView.as_view(), name="sso-log-out"),
    path("account/identities", OwnIdentityListView.as_view(), name="account-identities"),
    path("account/identities/<uuid:identity_id>", OwnIdentityView.as_view(), name="account-identity"),
]
