"""The registry: models, versions, blobs and replicas."""

from __future__ import annotations

from django.apps import AppConfig


class ModelsRegistryConfig(AppConfig):
    name = "models_registry"

    def ready(self) -> None:
        from models_registry.queries.model import has_model
        from ollamamax.identity import objects

        objects.register("model", has_model)
