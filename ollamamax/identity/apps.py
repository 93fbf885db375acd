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
        from ollamamax.identity.models import ApiKey, Invitation, UserSession
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows

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
