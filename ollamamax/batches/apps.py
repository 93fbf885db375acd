"""Batches: files of many requests, answered on idle capacity."""

from __future__ import annotations

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "ollamamax.batches"

    def ready(self) -> None:
        from ollamamax.batches.queries.batch import ended_batches
        from ollamamax.batches.queries.file import old_files
        from ollamamax.identity.retention import ENDINGS, ExpiringRows

        # Their bytes are swept when the rows are gone.
        ENDINGS.append(ExpiringRows("batch", "OLLAMAMAX_BATCH_DAYS", ended_batches))
        ENDINGS.append(ExpiringRows("file", "OLLAMAMAX_BATCH_DAYS", old_files))
