"""Addresses of metering below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.metering.api.usage import (
    TenantsUsageView,
    UsageExportView,
    UsageGroupsView,
    UsageTotalsView,
    UsageView,
)

urlpatterns = [
    path("usage", UsageView.as_view(), name="usage"),
    path("usage/totals", UsageTotalsView.as_view(), name="usage-totals"),
    path("usage/groups", UsageGroupsView.as_view(), name="usage-groups"),
    path("usage/export", UsageExportView.as_view(), name="usage-export"),
    path("usage/tenants", TenantsUsageView.as_view(), name="usage-tenants"),
]
