"""Single sign-on: the identity providers of each tenant, who logs in through them, and which roles that gives."""

from __future__ import annotations

from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "ollamamax.sso"
    label = "sso"

    def ready(self) -> None:
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows
        from ollamamax.identity.sessions import policies
        from ollamamax.sso.models import UsedToken
        from ollamamax.sso.policy import asks_for_single_sign_on

        policies.append(asks_for_single_sign_on)
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: UsedToken.objects.filter(expires_at__lt=before)))
