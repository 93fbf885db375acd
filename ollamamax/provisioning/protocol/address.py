"""Where directories find us."""

from __future__ import annotations

from django.conf import settings


def base_url() -> str:
    return f"{settings.PUBLIC_URL.rstrip('/')}/scim/v2"
