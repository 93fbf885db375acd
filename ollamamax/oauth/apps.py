"""OAuth: access tokens for programs, and the OpenID provider by which people log in to applications."""

from __future__ import annotations

import logging

from django.apps import AppConfig


class OauthConfig(AppConfig):
    name = "ollamamax.oauth"
    label = "oauth"

    def ready(self) -> None:
        from ollamamax.identity.departure import exported
        from ollamamax.oauth.models import Application

        exported(
            "applications",
            lambda: Application.objects.all(),
            *(
                "id",
                "name",
                "redirect_uris",
                "log_out_uris",
                "for_everybody",
                "enabled",
                "id_token_signed_response_alg",
                "created_by_name",
                "created_at",
            ),
            "used_at",
        )
        # For whoever looks for errors Authlib writes the tokens that it issues.
        logging.getLogger("authlib").setLevel(logging.INFO)
