"""Addresses of the registry below `/api/v1/`; blobs are served before Django, by `models_registry.protocol.blobs`."""

from __future__ import annotations

from django.urls import path

from models_registry.api.alias import AliasListView, AliasView
from models_registry.api.job import JobListView, JobRetryView, JobView
from models_registry.api.model import ModelListView, ModelView
from models_registry.api.order import ModelCopyView, ModelCreateView, ModelPullView, ModelUsesView
from ollamamax.identity.api.bulk import bulk_of

urlpatterns = [
    path("models", ModelListView.as_view(), name="models"),
    path("models/bulk", bulk_of(ModelView, "channel_id", "models").as_view(), name="models-bulk"),
    path("models/create", ModelCreateView.as_view(), name="models-create"),
    path("models/pull", ModelPullView.as_view(), name="models-pull"),
    path("models/<uuid:channel_id>/copy", ModelCopyView.as_view(), name="model-copy"),
    path("models/<uuid:channel_id>/uses", ModelUsesView.as_view(), name="model-uses"),
    path("models/<uuid:channel_id>", ModelView.as_view(), name="model"),
    path("aliases", AliasListView.as_view(), name="aliases"),
    path("aliases/bulk", bulk_of(AliasView, "alias_id", "aliases").as_view(), name="aliases-bulk"),
    path("aliases/<uuid:alias_id>", AliasView.as_view(), name="alias"),
    path("jobs", JobListView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>/retry", JobRetryView.as_view(), name="job-retry"),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
]
