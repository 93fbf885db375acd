"""The registry: models, versions, blobs and replicas."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class ModelsRegistryConfig(AppConfig):
    name = "models_registry"

    def ready(self) -> None:
        importlib.import_module("models_registry.publication")
        from models_registry.models import Job, Model
        from ollamamax.identity import objects
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows

        ENDINGS.append(ExpiringRows("job", ENDED, lambda before: Job.objects.filter(finished_at__lt=before)))

        objects.register("model", lambda: Model.objects.all())
