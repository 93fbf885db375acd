"""Addresses of OAuth below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.oauth.api.workload import WorkloadListView, WorkloadView

urlpatterns = [
    path("workloads", WorkloadListView.as_view(), name="workloads"),
    path("workloads/<uuid:workload_id>", WorkloadView.as_view(), name="workload"),
]
