"""Addresses of batches below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.batches.api.batch import BatchCancelView, BatchListView, BatchView
from ollamamax.batches.api.file import FileListView

urlpatterns = [
    path("batches", BatchListView.as_view(), name="batches"),
    path("batches/<uuid:batch_id>", BatchView.as_view(), name="batch"),
    path("batches/<uuid:batch_id>/cancel", BatchCancelView.as_view(), name="batch-cancel"),
    path("files", FileListView.as_view(), name="files"),
]
