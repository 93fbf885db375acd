"""Who there is: tenants, users, their memberships and keys. Knows no node, model or request."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "ollamamax.identity"
    label = "identity"

    def ready(self) -> None:
        importlib.import_module("ollamamax.identity.directory")
        from django.contrib.sessions.models import Session
        from django.db.models import Exists, OuterRef, Q
        from django.db.models.signals import post_migrate

        from ollamamax.identity import wall
        from ollamamax.identity.departure import exported
        from ollamamax.identity.models import (
            ApiKey,
            Invitation,
            Membership,
            Role,
            ServiceAccount,
            Team,
            TeamMember,
            Tenant,
            UserSession,
        )
        from ollamamax.identity.models.limits import LIMITS
        from ollamamax.identity.queries.key import listed
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows
        from ollamamax.identity.scope import current_tenant

        exported(
            "settings",
            lambda: Tenant.objects.filter(pk=current_tenant()),
            *("id", "slug", "name", "created_at", "weight", "show_route", "store_responses", "strict_fields"),
            *("sso_enforced", "factor_required_at", "takes_passkeys", "may_join_nodes", "suspended_at", "deletes_at"),
            *LIMITS,
        )
        exported(
            "members",
            lambda: Membership.objects.all(),
            *("id", "state", "source", "last_log_in_at", "created_at"),
            email="user__email",
            name="user__name",
            is_program="user__is_program",
            role="role__slug",
        )
        exported(
            "roles",
            lambda: Role.objects.filter(tenant=current_tenant()),
            "id",
            "slug",
            "name",
            "permissions",
            "created_at",
        )
        exported("teams", lambda: Team.objects.all(), "id", "slug", "name", "created_at", role="role__slug")
        exported("team_members", lambda: TeamMember.objects.all(), "id", email="user__email", team="group__team__slug")
        exported(
            "service_accounts",
            lambda: ServiceAccount.objects.all(),
            *("id", "name", "description", "created_by_name", "created_at"),
        )
        exported(
            "keys",
            lambda: listed(ApiKey.objects.all()),
            *(
                "id",
                "name",
                "created_by_name",
                "permissions",
                "reach_addresses",
                "reach_routes",
                "reach_models",
                "priority",
            ),
            *("strict_fields", "created_at", "expires_at", "last_used_at", "revoked_at"),
            *LIMITS,
        )
        post_migrate.connect(wall.build, sender=self)
        ENDINGS.append(
            ExpiringRows(
                "key", ENDED, lambda before: ApiKey.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before))
            )
        )
        ENDINGS.append(
            ExpiringRows("invitation", ENDED, lambda before: Invitation.objects.filter(expires_at__lt=before))
        )
        ENDINGS.append(ExpiringRows("", ENDED, lambda before: Session.objects.filter(expire_date__lt=before)))
        known = Session.objects.filter(session_key=OuterRef("session_key"))
        ENDINGS.append(
            ExpiringRows("", ENDED, lambda before: UserSession.objects.filter(~Exists(known), created_at__lt=before))
        )
