"""Single sign-on: the identity providers of each tenant, who logs in through them, and which roles that gives."""

from __future__ import annotations

from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "ollamamax.sso"
    label = "sso"

    def ready(self) -> None:
        from ollamamax.identity.departure import exported
        from ollamamax.identity.member_rights import guards
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows
        from ollamamax.identity.sessions import policies
        from ollamamax.sso.actions.enforcement import keep_break_glass
        from ollamamax.sso.models import EmailDomain, IdentityProvider, RoleRule, SamlAnswer, UsedToken
        from ollamamax.sso.policy import asks_for_single_sign_on

        exported(
            "identity_providers",
            lambda: IdentityProvider.objects.all(),
            *("id", "kind", "name", "issuer", "client_id", "scopes", "email_claim", "name_claim", "creates_users"),
            *("enabled", "created_at"),
            default_role="default_role__slug",
        )
        exported(
            "role_rules",
            lambda: RoleRule.objects.all(),
            *("id", "position", "claim", "pattern"),
            provider="provider__name",
            role="role__slug",
        )
        exported("email_domains", lambda: EmailDomain.objects.all(), "id", "domain", "verified_at", "created_at")
        guards.append(keep_break_glass)
        policies.append(asks_for_single_sign_on)
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: UsedToken.objects.filter(expires_at__lt=before)))
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: SamlAnswer.objects.filter(expires_at__lt=before)))
