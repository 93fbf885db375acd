"""Addresses of the dashboard below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from dashboard.api.system import SettingsView, SystemView

urlpatterns = [
    path("system", SystemView.as_view(), name="system"),
    path("settings", SettingsView.as_view(), name="settings"),
]
