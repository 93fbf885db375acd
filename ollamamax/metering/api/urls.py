"""Addresses of metering below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.identity.api.bulk import bulk_of
from ollamamax.metering.api.budget import BudgetListView, BudgetView, ModelPriceListView
from ollamamax.metering.api.prompt import KeptPromptView
from ollamamax.metering.api.usage import (
    AccessExportView,
    TenantsUsageView,
    UsageExportView,
    UsageGroupsView,
    UsageTotalsView,
    UsageView,
)

urlpatterns = [
    path("budgets", BudgetListView.as_view(), name="budgets"),
    path("budgets/bulk", bulk_of(BudgetView, "budget_id", "budgets").as_view(), name="budgets-bulk"),
    path("budgets/<uuid:budget_id>", BudgetView.as_view(), name="budget"),
    path("prompts/<str:request_id>", KeptPromptView.as_view(), name="prompt"),
    path("prices", ModelPriceListView.as_view(), name="prices"),
    path("usage", UsageView.as_view(), name="usage"),
    path("usage/totals", UsageTotalsView.as_view(), name="usage-totals"),
    path("usage/groups", UsageGroupsView.as_view(), name="usage-groups"),
    path("usage/export", UsageExportView.as_view(), name="usage-export"),
    path("usage/access", AccessExportView.as_view(), name="usage-access"),
    path("usage/tenants", TenantsUsageView.as_view(), name="usage-tenants"),
]
