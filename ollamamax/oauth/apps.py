"""OAuth: access tokens for programs, by the secret of a key or by the word of an issuer that a tenant trusts."""

from __future__ import annotations

from django.apps import AppConfig


class OauthConfig(AppConfig):
    name = "ollamamax.oauth"
    label = "oauth"
