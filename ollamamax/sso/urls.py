"""Addresses of single sign-on that are no part of the management API."""

from __future__ import annotations

from django.urls import path

from ollamamax.sso.api import browser

urlpatterns = [
    path("auth/sso/<uuid:provider_id>/begin", browser.begin, name="sso-begin"),
    path("auth/oidc/<uuid:provider_id>/callback", browser.callback, name="oidc-callback"),
    path("auth/oidc/<uuid:provider_id>/back-channel", browser.back_channel, name="oidc-back-channel"),
]
