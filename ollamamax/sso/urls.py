"""Addresses of single sign-on that are no part of the management API."""

from __future__ import annotations

from django.urls import path

from ollamamax.sso.api import browser, oidc, saml

urlpatterns = [
    path("auth/sso/<uuid:provider_id>/begin", browser.begin, name="sso-begin"),
    path("auth/oidc/<uuid:provider_id>/callback", oidc.callback, name="oidc-callback"),
    path("auth/oidc/<uuid:provider_id>/back-channel", oidc.back_channel, name="oidc-back-channel"),
    path("auth/saml/<uuid:provider_id>/metadata", saml.metadata, name="saml-metadata"),
    path("auth/saml/<uuid:provider_id>/acs", saml.acs, name="saml-acs"),
    path("auth/saml/<uuid:provider_id>/finish", saml.finish, name="saml-finish"),
    path("auth/saml/<uuid:provider_id>/log-out", saml.slo, name="saml-log-out"),
]
