"""Addresses of OAuth that are no part of the management API."""

from __future__ import annotations

from django.urls import path

from ollamamax.oauth.api import token

urlpatterns = [
    path("oauth/token", token.token, name="oauth-token"),
    path("oauth/jwks", token.public_keys, name="oauth-jwks"),
    path(".well-known/oauth-authorization-server", token.metadata, name="oauth-metadata"),
]
