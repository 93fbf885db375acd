"""Addresses of the registry below `/api/v1/`; blobs are served before Django, by `models_registry.protocol.blobs`."""

from __future__ import annotations

from django.urls import path

from models_registry.api.model import ModelListView, ModelView

urlpatterns = [
    path("models", ModelListView.as_view(), name="models"),
    path("models/<uuid:model_id>", ModelView.as_view(), name="model"),
]
