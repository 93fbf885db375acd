"""Addresses of the console: each serves the same page. The list follows frontend/src/router.tsx."""

from __future__ import annotations

from django.urls import path

from dashboard.views import console

urlpatterns = [
    path("", console, name="console"),
    path("login", console, name="console-login"),
    path("keys", console, name="console-keys"),
    path("requests/<str:id>", console, name="console-request"),
]
