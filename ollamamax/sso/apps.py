"""Single sign-on: the identity providers of each tenant, who logs in through them, and which roles that gives."""

from __future__ import annotations

from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "ollamamax.sso"
    label = "sso"

    def ready(self) -> None:
        from ollamamax.identity.member_rights import guards
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows
        from ollamamax.identity.sessions import policies
        from ollamamax.sso.actions.enforcement import keep_break_glass
        from ollamamax.sso.models import SamlAnswer, UsedToken
        from ollamamax.sso.policy import asks_for_single_sign_on

        guards.append(keep_break_glass)
        policies.append(asks_for_single_sign_on)
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: UsedToken.objects.filter(expires_at__lt=before)))
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: SamlAnswer.objects.filter(expires_at__lt=before)))
