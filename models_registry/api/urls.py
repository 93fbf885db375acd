"""Addresses of the registry below `/api/v1/`; blobs are served before Django, by `models_registry.protocol.blobs`."""

from __future__ import annotations

from django.urls import path

from models_registry.api.job import JobListView, JobView
from models_registry.api.model import ModelListView

urlpatterns = [
    path("models", ModelListView.as_view(), name="models"),
    path("jobs", JobListView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
]
