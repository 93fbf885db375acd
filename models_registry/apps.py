"""The registry: models, versions, blobs and replicas."""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class ModelsRegistryConfig(AppConfig):
    name = "models_registry"

    def ready(self) -> None:
        importlib.import_module("models_registry.publication")
        from models_registry.models import Alias, Channel, Job, Model, Release, Version
        from ollamamax.identity import objects
        from ollamamax.identity.departure import exported
        from ollamamax.identity.retention import ENDED, ENDINGS, ExpiringRows

        ENDINGS.append(ExpiringRows("job", ENDED, lambda before: Job.objects.filter(finished_at__lt=before)))

        exported(
            "models",
            lambda: Model.objects.all(),
            *("id", "name", "card", "licence", "tags", "profile", "fallbacks", "shared", "created_at"),
        )
        exported(
            "versions",
            lambda: Version.objects.all(),
            *("id", "digest", "source", "manifest", "size", "details", "created_at"),
        )
        exported(
            "releases",
            lambda: Release.objects.all(),
            *("id", "stage", "stage_changed_at", "origin", "by_kind", "by_name", "created_at"),
            model="model__name",
            version="version__digest",
        )
        exported(
            "channels",
            lambda: Channel.objects.all(),
            *("id", "name", "moved_at", "protected"),
            model="model__name",
            version="version__digest",
        )
        exported("aliases", lambda: Alias.objects.all(), "id", "name", "target", "fallbacks", "created_at")
        objects.register("model", lambda: Model.objects.all())
