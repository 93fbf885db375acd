"""Every address that Django serves; the gateway's own are answered before Django, in `ollamamax.asgi`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
