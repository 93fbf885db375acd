"""Addresses of OAuth below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.oauth.api.application import ApplicationListView, ApplicationSecretView, ApplicationView
from ollamamax.oauth.api.workload import WorkloadListView, WorkloadView

urlpatterns = [
    path("applications", ApplicationListView.as_view(), name="applications"),
    path("applications/<uuid:application_id>", ApplicationView.as_view(), name="application"),
    path("applications/<uuid:application_id>/rotate", ApplicationSecretView.as_view(), name="application-secret"),
    path("workloads", WorkloadListView.as_view(), name="workloads"),
    path("workloads/<uuid:workload_id>", WorkloadView.as_view(), name="workload"),
]
