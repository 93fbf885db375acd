"""Addresses of OAuth that are no part of the management API."""

from __future__ import annotations

from django.urls import path

from ollamamax.oauth.api import openid, token

urlpatterns = [
    path("oauth/token", token.token, name="oauth-token"),
    path("oauth/authorize", openid.authorize, name="oauth-authorize"),
    path("oauth/userinfo", openid.user_info, name="oauth-userinfo"),
    path("oauth/end-session", openid.end_session, name="oauth-end-session"),
    path("oauth/jwks", token.public_keys, name="oauth-jwks"),
    path(".well-known/oauth-authorization-server", token.metadata, name="oauth-metadata"),
    path(".well-known/openid-configuration", token.metadata, name="openid-configuration"),
]
