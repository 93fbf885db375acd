"""Batches: files of many requests, answered on idle capacity."""

from __future__ import annotations

from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "ollamamax.batches"
